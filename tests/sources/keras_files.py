"""Write files as Keras 3 writes them, and compute its layers by the formulas of its documentation."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def weights_of(
    kind: str, inputs: int, units: int, seed: int, *, reset_after: bool = True, bias: bool = True
) -> list[Array]:
    """Kernel, recurrent kernel and bias, in Keras's shapes."""
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[kind]
    generator = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = [(inputs, gates * units), (units, gates * units)]
    if bias:
        shapes.append((2, gates * units) if kind == "gru" and reset_after else (gates * units,))
    return [generator.normal(size=shape) * 0.5 for shape in shapes]


def write_h5(target: Path | io.BytesIO, layers: dict[str, list[Array]]) -> None:
    """Write `layers/NAME/.../vars/0` for every layer, as `Model.save_weights` does."""
    with h5py.File(target, "w") as file:
        for path, arrays in layers.items():
            for number, array in enumerate(arrays):
                file.create_dataset(f"layers/{path}/vars/{number}", data=array)
        file.create_group("optimizer/vars").create_dataset("0", data=np.array(3))


def write_keras(target: Path, layers: dict[str, list[Array]], configs: list[dict[str, Any]]) -> None:
    """Write a `.keras` archive with a config."""
    inside = io.BytesIO()
    write_h5(inside, layers)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": configs}}))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", inside.getvalue())


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def run(kind: str, arrays: list[Array], x: Array, *, reset_after: bool = True, activation: Any = np.tanh) -> Array:
    """Every hidden state, (N, T, H); Keras's gates are i, f, c, o of an LSTM and z, r, h of a GRU."""
    kernel, recurrent = arrays[:2]
    units = len(recurrent)
    no_bias = np.zeros((2, kernel.shape[1]) if kind == "gru" else kernel.shape[1])
    bias = arrays[2] if len(arrays) > 2 else no_bias
    h, c, found = np.zeros((len(x), units)), np.zeros((len(x), units)), []
    for t in range(x.shape[1]):
        if kind == "simple_rnn":
            h = activation(x[:, t] @ kernel + bias + h @ recurrent)
        elif kind == "lstm":
            i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            first, second = (bias[0], bias[1]) if bias.ndim == 2 else (bias, np.zeros_like(bias))
            xz, xr, xh = np.split(x[:, t] @ kernel + first, 3, axis=1)
            uz, ur, uh = np.split(recurrent, 3, axis=1)
            bz, br, bh = np.split(second, 3)
            z, r = sigmoid(xz + h @ uz + bz), sigmoid(xr + h @ ur + br)
            candidate = xh + r * (h @ uh + bh) if reset_after else xh + (r * h) @ uh
            h = z * h + (1 - z) * np.tanh(candidate)
        found.append(h)
    return np.stack(found, axis=1)
