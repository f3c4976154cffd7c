"""Cells that multiply input and state with one weight: haiku itself, and TensorFlow 1's equations, are the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.library_cells import with_usual_cells
from rnngraph.sources.checkpoint.load import load
from rnngraph.sources.options import ModelOptions

T, D, H = 5, 3, 4
Arrays = dict[str, Any]


def drawn(**shapes: tuple[int, ...]) -> Arrays:
    draw = np.random.default_rng(0)
    return {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def read(folder: Path, arrays: Arrays, x: Any) -> tuple[float, Arrays]:
    """Give the loss, half the sum of all squares, and the gradients of what is read from a file."""
    np.savez(folder / "weights.npz", **arrays)
    np.savez(folder / "data.npz", x=x[None])
    found = load(ModelOptions(str(folder / "weights.npz"), str(folder / "data.npz"), loss="every"))
    assert not found.findings
    return float(found.loss.value), rg.gradients(found.loss)


X = drawn(x=(T, D))["x"]


@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {}), ("GRU", {}), ("VanillaRNN", {}), ("VanillaRNN", {"double_bias": False})]
)
def test_haiku(kind: str, options: dict[str, bool], tmp_path: Path) -> None:
    hk, jax = pytest.importorskip("haiku"), pytest.importorskip("jax")

    def outputs(x: Any) -> Any:
        core = getattr(hk, kind)(H, **options)
        return hk.dynamic_unroll(core, x, core.initial_state(None))[0]

    run = hk.without_apply_rng(hk.transform(outputs))
    shapes = jax.tree.map(np.shape, run.init(jax.random.key(0), X), is_leaf=lambda one: hasattr(one, "shape"))
    flat = drawn(**{f"{module}/{name}": shape for module, own in shapes.items() for name, shape in own.items()})
    params = {module: {name: flat[f"{module}/{name}"] for name in own} for module, own in shapes.items()}
    value, wanted = jax.value_and_grad(lambda p: (run.apply(p, X) ** 2).sum() / 2)(params)
    loss, gradients = read(tmp_path, flat, X)
    assert loss == pytest.approx(float(value), rel=1e-5)
    states = {"LSTM": ("lstm/linear", "w"), "GRU": ("gru", "w_h"), "VanillaRNN": ("vanilla_rnn/linear_1", "w")}[kind]
    rows = np.asarray(wanted[states[0]][states[1]])[-H:]  # behind those of the input
    found = next(one for name, one in gradients.items() if name.endswith("Wh"))
    assert np.linalg.norm(found) == pytest.approx(float(np.linalg.norm(rows)), rel=1e-5)


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def lstm(p: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, j, f, o = np.split(np.concatenate([x, h]) @ p["lstm_cell/kernel"] + p["lstm_cell/bias"], 4)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    return sigmoid(o) * np.tanh(c), c


def gru(p: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    r, u = np.split(sigmoid(np.concatenate([x, h]) @ p["gru_cell/gates/kernel"] + p["gru_cell/gates/bias"]), 2)
    new = np.tanh(np.concatenate([x, r * h]) @ p["gru_cell/candidate/kernel"] + p["gru_cell/candidate/bias"])
    return u * h + (1 - u) * new, c


def plain(p: Arrays, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    return np.tanh(np.concatenate([x, h]) @ p["basic_rnn_cell/kernel"] + p["basic_rnn_cell/bias"]), c


TENSORFLOW: list[tuple[Any, Arrays]] = [
    (lstm, drawn(**{"lstm_cell/kernel": (D + H, 4 * H), "lstm_cell/bias": (4 * H,)})),
    (
        gru,
        drawn(**{"gru_cell/gates/kernel": (D + H, 2 * H), "gru_cell/gates/bias": (2 * H,),
                 "gru_cell/candidate/kernel": (D + H, H), "gru_cell/candidate/bias": (H,)}),
    ),
    (plain, drawn(**{"basic_rnn_cell/kernel": (D + H, H), "basic_rnn_cell/bias": (H,)})),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "arrays"), TENSORFLOW, ids=lambda one: getattr(one, "__name__", ""))
def test_tensorflow(cell: Any, arrays: Arrays, tmp_path: Path) -> None:
    h, c, total = np.zeros(H), np.zeros(H), 0.0
    for x in X:
        h, c = cell(arrays, x, h, c)
        total += float((h**2).sum()) / 2
    assert read(tmp_path, {f"rnn/{name}": one for name, one in arrays.items()}, X)[0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [
        {"lstm_head/linear/w": (H, 2 * H), "lstm_head/linear/b": (2 * H,)},  # a dense layer in a module of that name
        {"rnn/lstm_cell/kernel": (9, 4 * H), "rnn/lstm_cell/recurrent_kernel": (H, 4 * H), "rnn/lstm_cell/bias": (16,)},
        {"lstm/linear/w": (D, 4 * H), "lstm/linear/b": (4 * H,)},  # it has no rows for a state
        {"gru/w_i": (D, 3 * H)},
        {"gru/w_i": (D, 7), "gru/w_h": (2, 7), "gru/b": (7,)},  # no three gates
        {"gru/w_i": (), "gru/w_h": (H, 3 * H), "gru/b": (3 * H,)},
        {"gru_cell/gates/kernel": (7, 8), "gru_cell/candidate/kernel": (7, 4)},  # without biases
        {
            "gru_cell/gates/kernel": (7, 8),
            "gru_cell/candidate/kernel": (7, 3),
            "gru_cell/gates/bias": (8,),
            "gru_cell/candidate/bias": (3,),
        },
        {
            "gru_cell/gates/kernel": (4, 8),
            "gru_cell/candidate/kernel": (4, 4),
            "gru_cell/gates/bias": (8,),
            "gru_cell/candidate/bias": (4,),
        },  # it has no rows for an input
        {"vanilla_rnn/linear/w": (D, H), "vanilla_rnn/linear_1/w": (H, H)},
        {"lstm/kernel": (8,), "lstm/bias": ()},
        {"lstm/kernel": (8, 3, 4), "lstm/bias": (3, 4)},
    ],
)
def test_what_is_no_such_cell_keeps_its_names(shapes: dict[str, tuple[int, ...]]) -> None:
    arrays = {name: StoredArray(name, shape, Path(), lambda: np.zeros(())) for name, shape in shapes.items()}
    assert with_usual_cells(arrays) == (arrays, {})
