"""Checkpoints with the names that people give weights by hand: rows and columns, states called h or a."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint import load
from rnngraph.sources.options import ModelOptions
from tests.draws import draw
from tests.numpy.plain_networks import char_rnn

V, H, T = 6, 4, 9


WEIGHTS = {"Wxh": draw(H, V), "Whh": draw(H, H), "Why": draw(V, H), "bh": draw(H, 1), "by": draw(V, 1)}
NAMES = {
    "min-char-rnn": {name: name for name in WEIGHTS},
    "underscores": {"Wxh": "W_xh", "Whh": "W_hh", "Why": "W_hy", "bh": "b_h", "by": "b_y"},
    "activations": {"Wxh": "Wax", "Whh": "Waa", "Why": "Wya", "bh": "ba", "by": "by"},
    "in a dict": {name: f"params.{name}" for name in WEIGHTS},
}


def saved(path: Path, arrays: dict[str, Any]) -> str:
    np.savez(path / "weights.npz", allow_pickle=False, **arrays)
    words = np.random.default_rng(1).integers(0, V, T + 1)
    np.savez(path / "data.npz", allow_pickle=False, x=np.eye(V)[words[:-1]][None], targets=words[None, 1:])
    return str(path / "weights.npz")


def gradients(path: Path, arrays: dict[str, Any]) -> Any:
    weights = saved(path, arrays)
    return rg.gradients(load(ModelOptions(weights, str(path / "data.npz"), None, None, None, None, None)).loss)


@pytest.mark.parametrize("names", list(NAMES))
@pytest.mark.parametrize("rows", [False, True])
def test_the_gradients_are_those_of_the_function_itself(names: str, rows: bool, tmp_path: Path) -> None:
    arrays = {NAMES[names][key]: (value.T if rows else value) for key, value in WEIGHTS.items()}
    found = gradients(tmp_path, arrays)
    data = np.load(tmp_path / "data.npz")
    words, targets = data["x"][0].argmax(axis=1).tolist(), data["targets"][0].tolist()
    w = WEIGHTS
    traced = rg.trace_function(
        char_rnn, words, targets, np.zeros((H, 1)), w["Wxh"], w["Whh"], w["Why"], w["bh"], w["by"]
    )
    prefix = "params." if names == "in a dict" else ""
    for name, key in (("Wxh", "Wx"), ("Whh", "Wh"), ("bh", "b")):
        expected = traced.gradients[name].T
        mine = next(value for label, value in found.items() if label.endswith(f"rnn.{key}"))
        np.testing.assert_allclose(mine, expected.reshape(mine.shape), rtol=1e-9, err_msg=prefix + name)


def test_weights_of_which_the_side_cannot_be_told_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"Wxh has shape \(4, 4\), so that it cannot be told whether it multiplies rows"
    ):
        gradients(tmp_path, {"Wxh": draw(4, 4), "Whh": draw(4, 4), "bh": draw(4)})
