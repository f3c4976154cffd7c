"""The one door: caches, dicts, None for integers, layer objects, words, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.gradcheck.subject import Subject
from rnngraph.nn import functional as F  # noqa: N812
from tests.check.hand_written import rnn_backward, rnn_forward
from tests.draws import draw

N, T, D, H, V = 2, 4, 3, 5, 6


ARRAYS = draw(N, T, D), draw(N, H), draw(D, H), draw(H, H), draw(H)


def test_a_cache_of_the_functional_interface() -> None:
    _, cache = F.lstm_forward(draw(N, T, D), draw(N, H), draw(D, 4 * H), draw(H, 4 * H), draw(4 * H))
    report = rg.check(cache)
    assert report.passed
    assert [row.name for row in report.rows] == ["x", "h0", "Wx", "Wh", "b"]


@pytest.mark.parametrize("prefix", ["", "d", "grad_", "d_"])
def test_gradients_by_name(prefix: str) -> None:
    def backward(dh: Any, cache: Any, *, slip: float = 1.0) -> Any:
        dx, dh0, dWx, dWh, db = rnn_backward(dh, cache)
        return {f"{prefix}Wx": slip * dWx, f"{prefix}Wh": dWh, f"{prefix}b": db, f"{prefix}x": dx, f"{prefix}h0": dh0}

    assert rg.check(rnn_forward, backward, *ARRAYS).passed
    report = rg.check(rnn_forward, lambda dh, cache: backward(dh, cache, slip=2.0), *ARRAYS)
    assert [row.name for row in report.rows if not row.passed] == ["Wx"]
    assert report.where == (
        "wrong: Wx; right: x, h0, Wh, b.",
        "Wx: it is 2 times the right one.",
    )
    with pytest.raises(InputError, match="the backward gave gradients of x, and none of h0"):
        rg.check(rnn_forward, lambda dh, cache: {"x": rnn_backward(dh, cache)[0]}, *ARRAYS)


def test_each_point_of_a_line_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, float]] = []
    moved = Subject.moved

    def counted(subject: Subject, direction: Any, offset: float) -> Any:
        asked.append((direction, offset))
        return moved(subject, direction, offset)

    monkeypatch.setattr(Subject, "moved", counted)
    assert not rg.check(rnn_forward, lambda dh, cache: [2 * one for one in rnn_backward(dh, cache)], *ARRAYS).passed
    points = [(id(direction), offset) for direction, offset in asked]
    assert len(points) == len(set(points)) > 50


def test_a_dict_of_parameters_and_its_gradients() -> None:
    def forward(x: Any, params: Any) -> Any:
        params["b"] += 0.5  # what it is given is its own
        out, cache = rnn_forward(x, np.zeros((len(x), H)), params["Wx"], params["Wh"], params["b"])
        return out, cache

    def backward(dh: Any, cache: Any) -> Any:
        dx, _, dWx, dWh, db = rnn_backward(dh, cache)
        return {"x": dx, "params": {"Wh": dWh, "Wx": dWx, "b": db}}

    report = rg.check(forward, backward, ARRAYS[0], dict(zip(("Wx", "Wh", "b"), ARRAYS[2:], strict=True)))
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "params.Wx", "params.Wh", "params.b"]


def test_none_for_whole_numbers_and_any_number_of_arguments() -> None:
    def forward(words: Any, table: Any) -> Any:
        return table[words], (words, table)

    def backward(dout: Any, cache: Any) -> Any:
        words, table = cache
        gradient = np.zeros_like(table)
        np.add.at(gradient, words, dout)
        return None, gradient

    assert rg.check(forward, backward, np.array([0, 2, 2]), draw(4, 3)).passed

    def product(*factors: Any) -> Any:
        return factors[0] * factors[1], factors

    report = rg.check(product, lambda d, factors: (d * factors[1], d * factors[0]), draw(3), draw(3) + 1)
    assert [row.name for row in report.rows] == ["factors.0", "factors.1"]
    assert report.passed


class Affine:
    """A layer object that keeps its cache and its gradients in itself."""

    def __init__(self, slip: float = 1.0) -> None:
        self.W, self.b, self.slip = draw(D, H), draw(H), slip

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: Any) -> Any:
        self.dW, self.db = self.slip * self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class InDicts:
    """A layer object with `params` and `grads`."""

    def __init__(self) -> None:
        self.params, self.grads = {"W": draw(D, H)}, dict[str, Any]()

    def forward(self, x: Any) -> Any:
        self.x = x
        return np.maximum(x @ self.params["W"], 0)

    def backward(self, dout: Any) -> Any:
        dout = dout * (self.x @ self.params["W"] > 0)
        self.grads["W"] = self.x.T @ dout
        return dout @ self.params["W"].T


def test_layer_objects() -> None:
    layer, other = Affine(), InDicts()
    before = layer.W.copy()
    report = rg.check(layer, draw(4, D))
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "W", "b"]
    np.testing.assert_array_equal(layer.W, before)
    assert not hasattr(layer, "x")
    assert [row.name for row in rg.check(Affine(1.5), draw(4, D)).rows if not row.passed] == ["W"]
    report = rg.check(other, draw(4, D))
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "params.W"]


class Model(Affine):
    def backward(self, xs: Any, targets: Any) -> Any:  # type: ignore[override]
        return xs - targets


def test_what_the_methods_of_an_object_raise_is_said() -> None:
    asked = r"the backward of Model, called with 1 upstream gradient, raised TypeError: .*'targets'\."
    with pytest.raises(InputError, match=asked):
        rg.check(Model(), draw(4, D))
    with pytest.raises(InputError, match=r"the forward of Affine raised ValueError: "):
        rg.check(Affine(), draw(4, D + 1))


def text_model(carry: float, slope: float) -> Any:
    """A character RNN whose loss is a scalar, with a backward that may forget the carry or the slope."""

    def forward(Wx: Any, Wh: Any, Wy: Any, words: Any, targets: Any) -> Any:
        h, kept, loss = np.zeros((H, 1)), [], 0.0
        for word, target in zip(words, targets, strict=True):
            before, h = h, np.tanh(Wx[:, [word]] + Wh @ h)
            share = np.exp(Wy @ h) / np.exp(Wy @ h).sum()
            loss -= np.log(share[target, 0])
            kept.append((word, target, before, h, share))
        return loss, (kept, Wx, Wh, Wy)

    def backward(dloss: Any, cache: Any) -> Any:
        kept, Wx, Wh, Wy = cache
        dWx, dWh, dWy, carried = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wy), np.zeros((H, 1))
        for word, target, before, h, share in reversed(kept):
            d = share.copy()
            d[target] -= 1
            dWy += dloss * d @ h.T
            da = (dloss * Wy.T @ d + carry * carried) * (1 - slope * h**2)
            dWx[:, [word]] += da
            dWh += da @ before.T
            carried = Wh.T @ da
        return dWx, dWh, dWy

    return forward, backward


@pytest.mark.parametrize(
    ("carry", "slope", "says"),
    [(0.0, 1.0, "Wx, Wh: what is carried from step t+1 to t is not added."),
     (1.0, 0.0, "Wx, Wh: the slope of tanh is left out on the way back."),
     (0.5, 1.0, "wrong: Wx, Wh; right: Wy."), (1.0, 1.0, "")],
)  # fmt: skip
def test_a_loss_over_words_is_located(carry: float, slope: float, says: str) -> None:
    words, targets = np.array([0, 3, 1, 1, 5]), np.array([3, 1, 1, 5, 2])
    report = rg.check(*text_model(carry, slope), draw(H, V), draw(H, H), draw(V, H), words, targets)
    assert report.passed == (not says)
    assert says in " ".join(report.where)


@pytest.mark.parametrize("given", [(), (3,), (rnn_forward,), ("text",)])
def test_what_cannot_be_checked(given: Any) -> None:
    with pytest.raises((InputError, TypeError), match=r"nothing to check|missing|the forward is"):
        rg.check(*given)
