"""What hand-written code uses beside NumPy: functions of `math` and SciPy, `np.row_stack`, and places of places."""

from __future__ import annotations

import math
import types
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
import rnngraph.numpy as rnp
from rnngraph.errors import InputError

X, W = np.random.default_rng(0).normal(size=(3, 4)), np.random.default_rng(1).normal(size=(4, 4)) + 3 * np.eye(4)


def slopes(function: Any, *arrays: Any) -> list[Any]:
    """Give central differences of a scalar function."""
    found = []
    for place, array in enumerate(arrays):
        slope = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            ends = []
            for step in (-1e-5, 1e-5):
                moved = [one.copy() for one in arrays]
                moved[place][index] += step
                ends.append(float(function(*moved)))
            slope[index] = (ends[1] - ends[0]) / 2e-5
        found.append(slope)
    return found


NAMES = ("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "tanh", "sinh", "sin", "tan", "fabs", "atan")


@pytest.mark.parametrize("call", [*(f"math.{name}(y)" for name in NAMES), "math.log(y, 3)", "math.pow(y, x[1, 0])"])
def test_functions_of_math(call: str) -> None:
    space: dict[str, Any] = {"math": math, "__name__": "a_users_module"}
    exec(f"def f(x):\n    y = 0.5 + x[0, 0] * x[0, 0]\n    return {call} * x[2, 1]", space)
    traced = rg.trace_function(space["f"], X)
    assert float(traced.value) == pytest.approx(float(space["f"](X)), rel=1e-12)
    np.testing.assert_allclose(traced.gradients["x"], slopes(space["f"], X)[0], rtol=1e-6, atol=1e-8)


def test_functions_of_scipy() -> None:
    scipy = pytest.importorskip("scipy")
    special, linalg = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.linalg")
    softmax, weights = special.softmax, np.arange(12.0).reshape(3, 4)
    space: Any = {
        "by module": lambda x, w: (scipy.special.expit(x @ w) * weights).sum(),
        "softmax": lambda x, w: (softmax(x @ w, axis=1) * weights).sum() + softmax(x)[0, 0],
        "log softmax": lambda x, w: (special.log_softmax(x @ w, axis=-1) * weights).sum(),
        "log of a sum": lambda x, w: special.logsumexp(x @ w) + (special.logsumexp(x, axis=1) ** 2).sum(),
        "an inverse": lambda x, w: (x @ linalg.inv(w) @ linalg.pinv(x)).sum() + linalg.solve(w, x.T)[0, 1],
        "on constants": lambda x, w: (x * softmax(weights, axis=1) @ linalg.inv(np.eye(4) * 2)).sum() + w[0, 0],
    }
    for name, function in space.items():
        traced = rg.trace_function(function, X, W)
        assert float(traced.value) == pytest.approx(float(function(X, W)), rel=1e-12), name
        for key, wanted in zip("xw", slopes(function, X, W), strict=True):
            np.testing.assert_allclose(traced.gradients[key], wanted, rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_function_of_scipy_that_is_not_followed_is_refused() -> None:
    special = pytest.importorskip("scipy.special")
    with pytest.raises(InputError, match=r"np\.gamma of a recorded array is not differentiated here"):
        rg.trace_function(lambda x: special.gamma(x).sum(), X)


@pytest.mark.filterwarnings("ignore:.*row_stack.*:DeprecationWarning")
def test_row_stack_is_vstack() -> None:
    if not hasattr(np, "row_stack"):
        pytest.skip("this NumPy has no row_stack")
    traced = rg.trace_function(lambda x, w: (np.row_stack((x, w)) ** 2).sum(), X, W)  # noqa: NPY201
    np.testing.assert_allclose(traced.gradients["w"], 2 * W)


PLACES: dict[str, Any] = {
    "a coarse part, then a fine one": lambda h, x: (put(h, [(0, x), ((1, 0), x[0])]), h[0, 1] @ h[1, 0]),
    "a fine part, then a coarse one": lambda h, x: (put(h, [((1, 0), x[0]), (1, 2 * x)]), h[1, 0] @ h[1, 1]),
    "a slice over parts": lambda h, x: (put(h, [(0, x), (slice(None), x[0])]), (h[0] * h[1]).sum()),
    "a part after a read": lambda h, x: (put(h, [(0, x)]), h.sum(), put(h, [((0, 1), 3 * x[1])]), (h**2).sum()),
    "again after a read": lambda h, x: (put(h, [(0, x), (1, x)]), h.sum(), put(h, [(0, 3 * x)]), (h**2).sum()),
    "places of places": lambda h, x: (put(h[1], [(0, x[0]), (1, x[1])]), h[1][0] @ h[1][1] + (h[1] ** 2).sum()),
    "a place of a view that is kept": lambda h, x: (view_of(h, x), (h[1] * h[0]).sum() + (h**2).sum()),
    "three in a row": lambda h, x: (put(h[1][0], [(2, x[0, 0])]), h[1][0][2] ** 2 + h[1, 0, 1]),
    "overlapping slices and what they leave": lambda h, x: holed(2 * x, x),
    "a view sees a later change": lambda h, x: seen_later(2 * x),
    "a mask in a place": lambda h, x: (put(h[1], [(x > 0, x[x > 0])]), (h[1] ** 3).sum()),
}


def put(into: Any, what: list[tuple[Any, Any]]) -> Any:
    for index, part in what:
        into[index] = part
    return into


def view_of(h: Any, x: Any) -> Any:
    row = h[1]
    row += x
    row[0] *= 2
    h[0] = x
    row[1] = row[0] * x[0]
    return row


def holed(h: Any, x: Any) -> Any:
    put(h, [(slice(0, 1), x[0]), (slice(0, 1), 3 * x[0])])
    return ((h**2).sum(),)


def seen_later(h: Any) -> Any:
    row, deeper = h[1], h[1][2:]
    h *= 3
    return ((row * row).sum() + (deeper * deeper).sum(),)


@pytest.mark.parametrize("name", list(PLACES))
def test_what_is_put_into_places_of_places_is_read_there(name: str) -> None:
    def function(x: Any) -> Any:
        return PLACES[name](np.zeros((2, *x.shape)) + 0.5, x)[-1]

    x = X[:2]
    traced = rg.trace_function(function, x)
    assert float(traced.value) == pytest.approx(float(function(x)), rel=1e-12)
    np.testing.assert_allclose(traced.gradients["x"], slopes(function, x)[0], rtol=1e-6, atol=1e-8)


def test_an_explicit_tape_follows_them_too() -> None:
    x = rnp.ArrayTape().input(X)
    space = types.SimpleNamespace(h=rnp.zeros((2, 2, 4)))
    for t in range(2):
        for place in range(2):
            space.h[t][place] = x[t] * (place + 1)
    np.testing.assert_allclose(space.h.value, X[:2, None] * np.array([1, 2])[:, None])


def test_a_part_of_another_dtype_is_read_as_the_whole_holds_it() -> None:
    def third(a: Any, b: Any) -> Any:
        p, q = np.stack([a, b])
        return np.sum(p / 3 + q)

    tape = rg.trace_function(third, np.ones(2, np.float32), np.ones(2)).tape
    (divided,) = [node for node in tape.nodes if node.op.name == "divide"]
    assert divided.arguments[0].dtype == np.float64
