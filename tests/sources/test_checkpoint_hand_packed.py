"""Checkpoints of an LSTM and a GRU in one weight for all gates, against the function that a person wrote with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.errors import InputError
from tests.draws import draw
from tests.sources.test_checkpoint_hand_gates import T, X, gru, lstm, output_of, weights


def packed(w: dict[str, Any], order: str, joined: str, *, rows: bool, bias: str = "") -> dict[str, Any]:
    """Store all gates in one array, in this order, with a bias of its own or as a row of the weight."""
    columns = []
    for one in order:
        parts = [w[f"Wh{one}"], w[f"Wx{one}"]]
        parts = parts if joined == "hx" else parts[::-1]
        parts = [w[f"b{one}"], *parts] if bias == "first" else [*parts, w[f"b{one}"]] if bias == "last" else parts
        columns.append(np.concatenate(parts))
    weight = np.concatenate(columns, axis=1)
    found = {"W": weight if rows else weight.T}
    if not bias:
        found["b"] = np.concatenate([w[f"b{one}"] for one in order], axis=1)
        found["b"] = found["b"][0] if rows else found["b"].T
    return found


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("joined", ["hx", "xh"])
@pytest.mark.parametrize("order", ["ifoc", "fioc", "ocfi"])
def test_an_lstm_gives_what_its_function_gives(order: str, joined: str, rows: bool, tmp_path: Path) -> None:
    w = weights("ifoc")
    expected = lstm(w, draw(T, X))[0]
    arrays = packed(w, order, joined, rows=rows)
    found, _ = output_of(tmp_path, arrays, f"gates={order},joined={joined}")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    named = {f"cell.{key}{order}": one for key, one in arrays.items()}  # Wfioc, bfioc
    found, _ = output_of(tmp_path, named, f"joined={joined}")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("bias", ["first", "last"])
def test_a_bias_may_be_a_row_of_the_weight(bias: str, rows: bool, tmp_path: Path) -> None:
    w = weights("ifoc")
    arrays = {"WLSTM": packed(w, "ifoc", "xh", rows=rows, bias=bias)["W"]}
    found, _ = output_of(tmp_path, arrays, f"gates=ifoc,joined=xh,bias={bias}")
    np.testing.assert_allclose(found, lstm(w, draw(T, X))[0], rtol=1e-12)


@pytest.mark.parametrize("update", ["old", "new"])
def test_a_gru_gives_what_its_function_gives(update: str, tmp_path: Path) -> None:
    w = weights("zrh")
    arrays = packed(w, "rzh", "hx", rows=True)
    found, _ = output_of(tmp_path, arrays, f"gates=rzh,joined=hx,update={update}")
    np.testing.assert_allclose(found, gru(w, draw(T, X), update)[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [("W_lstm", "joined=hx", r"W_lstm of shape \(8, 12\) holds all gates, and their order cannot be told; pass --l"),
     ("W", "gates=ifoc,joined=hx", r"W has shape \(8, 12\), so that it cannot be told which side holds the gates"),
     ("W+b", "gates=ifoc", r"W, W, W, W .* pass --layer joined=hx for the state first"),
     ("W", "gates=iffo", "--layer gates=iffo says nothing; write the gates in their order, such as ifog or zrn"),
     ("W", "gates=ifoc,joined=hx,bias=top", "--layer bias=top says nothing; write first or last"),
     ("W", "gates=zrh,joined=hx,update=old", "--layer gates=zrh has no use|nothing|fit")],
)  # fmt: skip
def test_what_cannot_be_told_is_asked_for(name: str, layer: str, message: str, tmp_path: Path) -> None:
    both = packed(weights("ifoc"), "ifoc", "hx", rows=True)
    arrays = both if name == "W+b" else {name: both["W"]}
    if layer.startswith("gates=zrh"):
        arrays[name] = arrays[name][:, :10]
    with pytest.raises(InputError, match=message):
        output_of(tmp_path, arrays, layer)
