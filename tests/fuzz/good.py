"""Good files of every format, from which bad ones are made; written once for a search."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.cli import app
from tests.sources.keras_files import weights_of, write_h5, write_keras

torch = pytest.importorskip("torch")

TRACES = {
    "tanh": ("--timesteps", "5", "--hidden-size", "3", "--batch", "2"),
    "lstm": ("--cell", "lstm", "--layers", "2", "--timesteps", "4", "--hidden-size", "2", "--batch", "2"),
    "gru": ("--cell", "gru", "--bidirectional", "--timesteps", "14", "--hidden-size", "2", "--batch", "1"),
}
UNITS, INPUTS = 4, 3
LINEAR = {"mixer.A_log": np.log([[1.0, 4.0]] * 4), "mixer.dt_proj.bias": np.linspace(-4.0, 0.0, 4)}
TEXT = "to be or not to be, that is the question\n"


class Captioner(torch.nn.Module):  # type: ignore[misc, name-defined]
    """An embedding, a recurrent layer and an output layer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(11, INPUTS)
        self.core = getattr(torch.nn, kind)(INPUTS, UNITS, batch_first=True)
        self.scores = torch.nn.Linear(UNITS, 11)


def write_all(folder: Path) -> None:
    """Write the good files."""
    for name, options in TRACES.items():
        with contextlib.redirect_stderr(io.StringIO()):
            assert app.outcome(["trace", "-o", str(folder / f"{name}.npz"), *options]) == 0
    torch.manual_seed(0)
    for kind in ("RNN", "LSTM", "GRU"):
        model = Captioner(kind)
        state = model.state_dict()
        torch.save(state, folder / f"{kind}.pt")
        torch.save(state, folder / f"{kind}-old.pth", _use_new_zipfile_serialization=False)
        torch.save({"model": state, "epoch": 3, "optimizer": {"lr": 0.1}, "log": [1.0, 2.0]}, folder / f"{kind}.ckpt")
        arrays = {name: value.numpy() for name, value in state.items()}
        np.savez(folder / f"{kind}-weights.npz", **arrays)
        (folder / f"{kind}.safetensors").write_bytes(safetensors(arrays))
        (folder / f"{kind}-folder").mkdir()
        for name, array in arrays.items():
            np.save(folder / f"{kind}-folder" / f"{name}.npy", array)
    linear = {f"layers.{k}.{name}": array for k in range(2) for name, array in LINEAR.items()}
    (folder / "linear.safetensors").write_bytes(safetensors(linear))
    torch.save({name: torch.from_numpy(array) for name, array in linear.items()}, folder / "linear.pt")
    for kind in ("simple_rnn", "lstm", "gru"):
        layers = {kind: weights_of(kind, INPUTS, UNITS, 0)}
        write_h5(folder / f"{kind}.weights.h5", layers)
        config = {"class_name": kind, "config": {"name": kind, "units": UNITS, "activation": "tanh"}}
        write_keras(folder / f"{kind}.keras", layers, [config])
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 11, (2, 6))
    np.savez(folder / "tokens-data.npz", tokens=tokens, targets=tokens[:, ::-1], lengths=np.array([6, 4]))
    x = generator.normal(size=(2, 6, INPUTS))
    np.savez(folder / "x-data.npz", x=x, mask=np.ones((2, 6), bool), h0=np.zeros((1, 2, UNITS)))
    (folder / "text.txt").write_text(TEXT)
    (folder / "words.txt").write_text("\n".join(dict.fromkeys(TEXT.split())) + "\n<unk>\n")
    (folder / "letters.txt").write_text("\n".join("\\s" if one == " " else one for one in "\\n tobernhais,qu"))


def safetensors(arrays: dict[str, Any], changes: dict[str, Any] | None = None) -> bytes:
    """Write the safetensors format by its description."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header | (changes or {})).encode()
    return len(text).to_bytes(8, "little") + text + data
