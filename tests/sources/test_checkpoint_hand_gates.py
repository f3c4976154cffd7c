"""Checkpoints of an LSTM and a GRU with a weight a gate, against the function that a person wrote with them."""

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

X, H, T = 5, 3, 6


def weights(letters: str) -> dict[str, Any]:
    generator = np.random.default_rng(len(letters))
    sizes = {"Wx": (X, H), "Wh": (H, H), "b": (1, H)}
    return {kind + one: 0.7 * generator.normal(size=size) for one in letters for kind, size in sizes.items()}


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def lstm(w: Any, x: Any) -> Any:
    h, c = np.zeros((1, H)), np.zeros((1, H))
    for t in range(T):
        i, f, o, g = (x[t : t + 1] @ w[f"Wx{k}"] + h @ w[f"Wh{k}"] + w[f"b{k}"] for k in "ifoc")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def gru(w: Any, x: Any, update: str) -> Any:
    h = np.zeros((1, H))
    for t in range(T):
        z, r = (sigmoid(x[t : t + 1] @ w[f"Wx{k}"] + h @ w[f"Wh{k}"] + w[f"b{k}"]) for k in "zr")
        n = np.tanh(x[t : t + 1] @ w["Wxh"] + (r * h) @ w["Whh"] + w["bh"])
        h = z * h + (1 - z) * n if update == "old" else (1 - z) * h + z * n
    return h


def named(w: dict[str, Any], form: str, *, rows: bool) -> dict[str, Any]:
    """Store the weights as people do: apart, as W and U, or joined, for rows or for columns."""
    found: dict[str, Any] = {}
    for one in sorted({key[-1] for key in w}):
        wx, wh, b = w[f"Wx{one}"], w[f"Wh{one}"], w[f"b{one}"]
        if form == "apart":
            found |= {f"Wx{one}": wx, f"Wh{one}": wh}
        elif form == "underscores":
            found |= {f"cell.W_x{one}": wx, f"cell.W_h{one}": wh}
        elif form == "W and U":
            found |= {f"W{one}": wx, f"U{one}": wh}
        else:
            found[f"W{one}"] = np.concatenate([wh, wx] if form == "hx" else [wx, wh])
        found[f"cell.b_{one}" if form == "underscores" else f"b{one}"] = b
    return {name: value if rows else value.T for name, value in found.items()}


def output_of(path: Path, arrays: dict[str, Any], layer: str | None, *, inputs: int = X) -> Any:
    np.savez(path / "weights.npz", **arrays)
    np.savez(path / "data.npz", x=draw(T, inputs)[None])
    loaded = load(ModelOptions(str(path / "weights.npz"), str(path / "data.npz"), layer=layer, loss="last"))
    (recurrence,) = loaded.loss.tape.recurrences
    assert recurrence.block is not None
    return recurrence.block.value[0, -1], rg.gradients(loaded.loss)


FORMS = ("apart", "underscores", "W and U", "hx", "xh")


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_an_lstm_gives_what_its_function_gives(form: str, rows: bool, tmp_path: Path) -> None:
    w = weights("ifoc")
    layer = f"joined={form}" if form in ("hx", "xh") else None
    found, _ = output_of(tmp_path, named(w, form, rows=rows), layer)
    np.testing.assert_allclose(found, lstm(w, draw(T, X))[0], rtol=1e-12)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("update", ["old", "new"])
@pytest.mark.parametrize("form", FORMS)
def test_a_gru_gives_what_its_function_gives(form: str, update: str, rows: bool, tmp_path: Path) -> None:
    w = weights("zrh")
    layer = f"update={update}" + (f",joined={form}" if form in ("hx", "xh") else "")
    found, _ = output_of(tmp_path, named(w, form, rows=rows), layer)
    np.testing.assert_allclose(found, gru(w, draw(T, X), update)[0], rtol=1e-12)


def test_a_cell_without_biases_has_none(tmp_path: Path) -> None:
    w = weights("zrh")
    bare = {key: value for key, value in named(w, "apart", rows=True).items() if key[0] != "b"}
    found, _ = output_of(tmp_path, bare, "update=old")
    zero = {key: np.zeros_like(value) if key[0] == "b" else value for key, value in w.items()}
    np.testing.assert_allclose(found, gru(zero, draw(T, X), "old")[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("form", "letters", "layer", "message"),
    [("hx", "ifoc", None, r"Wi, Wf, Wc, Wo of shape \(8, 3\) .* pass --layer joined=hx for the state first"),
     ("apart", "zrh", None, r"Wxz, Wxr, Wxh are a GRU, .*; pass --layer update=old for h = z · h"),
     ("hx", "ifoc", "joined=h", "--layer joined=h says nothing; write hx or xh"),
     ("apart", "zrh", "update=z", "--layer update=z says nothing; write old or new"),
     ("apart", "ifoc", "joined=hx", "--layer joined=hx has no use"),
     ("hx", "ifoc", "joined=hx,update=old", "--layer update=old has no use")],
)  # fmt: skip
def test_what_cannot_be_told_is_asked_for(
    form: str, letters: str, layer: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        output_of(tmp_path, named(weights(letters), form, rows=True), layer)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(("weight", "bias"), [("Why", "by"), ("W_y", "b_y"), ("Wv", "bv")])
def test_the_output_layer_is_read_too(weight: str, bias: str, rows: bool, tmp_path: Path) -> None:
    w, to_scores, shift = weights("ifoc"), draw(H, X), draw(1, X)
    arrays = named(w, "hx", rows=rows)
    arrays |= {weight: to_scores if rows else to_scores.T, bias: shift if rows else shift.T}
    np.savez(tmp_path / "weights.npz", **arrays)
    x, target = draw(T, X), 2
    np.savez(tmp_path / "data.npz", x=x[None], targets=np.array([target]))
    paths = str(tmp_path / "weights.npz"), str(tmp_path / "data.npz")
    scores = (lstm(w, x) @ to_scores + shift)[0]
    loss = load(ModelOptions(*paths, layer="joined=hx")).loss
    assert float(loss.value) == pytest.approx(np.log(np.exp(scores).sum()) - scores[target], rel=1e-10)


def test_the_side_of_square_weights_is_that_of_their_biases(tmp_path: Path) -> None:
    square = {f"{kind}{one}": draw(H, H) for kind in ("Wx", "Wh") for one in "ifoc"}
    with pytest.raises(InputError, match="cannot be told whether it multiplies rows or columns; save its biases as"):
        output_of(tmp_path, square | {f"b{one}": draw(H) for one in "ifoc"}, None)
    rows = square | {f"b{one}": draw(1, H) for one in "ifoc"}
    found, _ = output_of(tmp_path, rows, None, inputs=H)
    turned, _ = output_of(tmp_path, {name: value.T for name, value in rows.items()}, None, inputs=H)
    np.testing.assert_allclose(found, lstm(rows, draw(T, H))[0], rtol=1e-12)
    np.testing.assert_allclose(turned, found, rtol=1e-12)
