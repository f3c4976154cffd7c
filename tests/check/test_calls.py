"""Backwards as people call them: the cache anywhere, fewer upstream gradients, gradients by name, parameter lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.numpy.calls import owners
from tests.check.hand_written import rnn_backward, rnn_forward
from tests.draws import draw

N, T, D, H = 2, 4, 3, 5


ARRAYS = draw(N, T, D), draw(N, H), draw(D, H), draw(H, H), draw(H)
NAMES = ["x", "h0", "Wx", "Wh", "b"]


def with_last(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Give the states, the last one, and a summary of them that nobody differentiates."""
    out, cache = rnn_forward(x, h0, Wx, Wh, b)
    return out, out[:, -1], (out**2).sum(), cache


def cache_second(dout: Any, cache: Any, dlast: Any = None, *, slip: float = 1.0) -> Any:
    total = dout.copy()
    if dlast is not None:
        total[:, -1] += slip * dlast
    return rnn_backward(total, cache)


def wrong_in_the_last(dout: Any, cache: Any, dlast: Any = None) -> Any:
    return cache_second(dout, cache, dlast, slip=2.0)


def with_parameters(dout: Any, dlast: Any, cache: Any, Wh: Any) -> Any:
    assert Wh.shape == (H, H)
    return cache_second(dout, cache, dlast)


def named_in_the_return(dout: Any, memory: Any) -> Any:
    dx, dh0, dWx, dWh, db = rnn_backward(dout, memory)
    return dWx, dWh, db, dx, dh0


def test_the_cache_may_stand_anywhere_and_outputs_may_be_left_out() -> None:
    report = rg.check(with_last, cache_second, *ARRAYS)
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == NAMES
    assert rg.check(with_last, lambda dout, cache: rnn_backward(dout, cache), *ARRAYS).passed
    assert rg.check(with_last, with_parameters, *ARRAYS).passed
    assert not rg.check(with_last, wrong_in_the_last, *ARRAYS).passed


def test_gradients_in_another_order_are_matched_by_the_names_that_are_returned() -> None:
    assert rg.check(rnn_forward, named_in_the_return, *ARRAYS).passed
    with pytest.raises(InputError, match=r"the gradient of x has shape \(3, 5\); the argument has \(2, 4, 3\)"):
        rg.check(rnn_forward, lambda dout, cache: named_in_the_return(dout, cache), *ARRAYS)


@pytest.mark.parametrize(
    ("gradient", "places"),
    [("dW", [0]), ("grad_W", [0]), ("W_grad", [0]), ("gW", [0]), ("enc.dW", [1]), ("enc.W", [1]), ("grads.dW", [0]),
     ("b", [2, 3]), ("dec.d_b", [3]), ("db_", []), ("W.x", [])],
)  # fmt: skip
def test_the_array_of_a_gradient_is_found_by_whole_names_first(gradient: str, places: list[int]) -> None:
    assert owners(gradient, ["W", "enc.W", "enc.b", "dec.b"]) == places


def test_gradients_of_equal_shape_in_the_wrong_order_are_wrong() -> None:
    def product(one: Any, other: Any) -> Any:
        return one * other, (one, other)

    def swapped(dout: Any, cache: Any) -> Any:
        done, dother = dout * cache[1], dout * cache[0]
        return dother, done

    assert not rg.check(product, swapped, draw(3), draw(3) + 1).passed


def columns_forward(x: Any, a0: Any, parameters: Any) -> Any:
    """Keep time on the last axis, and give scores beside the states."""
    a, caches = np.zeros((H, N, x.shape[2])), []
    before = a0
    for t in range(x.shape[2]):
        after = np.tanh(parameters["Wax"] @ x[:, :, t] + parameters["Waa"] @ before + parameters["ba"])
        caches.append((x[:, :, t], before, after, parameters))
        a[:, :, t] = before = after
    return a, np.einsum("yh,hnt->ynt", parameters["Wya"], a), caches


def columns_backward(da: Any, caches: Any, *, carry: float = 1.0) -> Any:
    parameters = caches[0][-1]
    found = {f"d{name}": np.zeros_like(one) for name, one in parameters.items() if name != "Wya"}
    dx, carried = np.zeros((D, N, len(caches))), np.zeros((H, N))
    for t in reversed(range(len(caches))):
        x, before, after, _ = caches[t]
        dz = (da[:, :, t] + carry * carried) * (1 - after**2)
        dx[:, :, t], carried = parameters["Wax"].T @ dz, parameters["Waa"].T @ dz
        found["dWax"] += dz @ x.T
        found["dWaa"] += dz @ before.T
        found["dba"] += dz.sum(axis=1, keepdims=True)
    return {"dx": dx, "da0": carried, **found}


COLUMNS = draw(D, N, T), draw(H, N), {"Waa": draw(H, H), "Wax": draw(H, D), "Wya": draw(2, H), "ba": draw(H, 1)}


def test_time_on_the_last_axis_and_a_parameter_that_takes_no_part() -> None:
    report = rg.check(columns_forward, columns_backward, *COLUMNS)
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "a0", "parameters.Waa", "parameters.Wax", "parameters.ba"]
    report = rg.check(columns_forward, lambda da, caches: columns_backward(da, caches, carry=0.0), *COLUMNS)
    carried = "what is carried from step t+1 to t is not added."
    assert report.where == (f"x, a0, parameters.Waa, parameters.Wax, parameters.ba: {carried}",)


def test_dicts_in_a_dict_in_another_order() -> None:
    """The keys say which gradient is whose, also where all have one shape."""

    def forward(x: Any, p: Any) -> Any:
        hidden = np.tanh(x @ p["below"]["W"] + p["below"]["b"])
        return hidden @ p["above"]["W"] + p["above"]["b"], (x, hidden, p)

    def backward(dout: Any, cache: Any) -> Any:
        x, hidden, p = cache
        da = dout @ p["above"]["W"].T * (1 - hidden**2)
        above = {"db": dout.sum(axis=0), "dW": hidden.T @ dout}
        return da @ p["below"]["W"].T, {"above": above, "below": {"db": da.sum(axis=0), "dW": x.T @ da}}

    params = {name: {"W": draw(D, D, seed=k), "b": draw(D, seed=k)} for k, name in enumerate(("below", "above"))}
    report = rg.check(forward, backward, draw(N, D), params)
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "p.below.W", "p.below.b", "p.above.W", "p.above.b"]


class InLists:
    """A layer whose parameters and gradients stand in two lists; a part of it holds the same arrays."""

    def __init__(self, slip: float = 1.0, dtype: Any = np.float64) -> None:
        self.params = [draw(D, H).astype(dtype), draw(H).astype(dtype)]
        self.grads = [np.zeros_like(one) for one in self.params]
        self.part, self.slip = list(self.params), slip

    def forward(self, x: Any) -> Any:
        self.x = x
        W, b = self.part
        return x @ W + b

    def backward(self, dout: Any) -> Any:
        self.grads[0][...] = self.slip * self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


def test_lists_of_parameters_and_gradients() -> None:
    report = rg.check(InLists(), draw(4, D))
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["x", "params.0", "params.1"]
    report = rg.check(InLists(1.5), draw(4, D))
    assert [row.name for row in report.rows if not row.passed] == ["params.0"]
    assert report.where == ("wrong: params.0; right: x, params.1.", "params.0: it is 1.5 times the right one.")
