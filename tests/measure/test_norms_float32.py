"""Norms of float32 arrays: their squares are formed and added up in float64, alone and through a recording."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.outer_norms import OuterNorms, outer_norms
from rnngraph.norms import norm, row_norms
from rnngraph.trace.magnitudes import Status
from tests.linear_cells import elementwise_loss

TENTH = float(np.float32(0.1))  # no power of two: its square has more digits than a float32
MANY = 3_000_000


@pytest.mark.parametrize("size", [1e-25, 1e-38, 1e-20, 1e25, 1e38])
def test_squares_that_float32_cannot_hold(size: float) -> None:
    one = np.float32(size)
    found = row_norms(np.array([[0, one], [one, one], [0, 0]], np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [float(one), math.sqrt(2) * float(one), 0], rtol=1e-15)
    assert norm(np.array([one])) == pytest.approx(float(one), rel=1e-15)


def test_many_elements_add_up_in_float64() -> None:
    array = np.full(MANY, np.float32(0.1))
    expected = math.sqrt(MANY) * TENTH
    np.testing.assert_allclose(row_norms(array[None]), expected, rtol=1e-12)
    assert norm(array) == pytest.approx(expected, rel=1e-12)
    assert norm(array.reshape(3, 1000, 1000)) == pytest.approx(expected, rel=1e-12)


def exact_norms(left: Any, right: Any) -> Any:
    """By products in float64, scaled so that nothing underflows."""
    pairs = zip(left.astype(np.float64) * 2.0**60, right.astype(np.float64) * 2.0**60, strict=True)
    return np.array([np.linalg.norm(one.T @ other) for one, other in pairs]) * 2.0**-120


@pytest.mark.parametrize(("rows", "wide", "high"), [(1, 30, 40), (2, 30, 40), (2, 300, 200), (50, 3, 4)])
@pytest.mark.parametrize("size", [1.0, 3e-11, 3e-13, 1e-20])
def test_products_of_float32_factors(rows: int, wide: int, high: int, size: float) -> None:
    rng = np.random.default_rng(0)
    left = (rng.normal(size=(5, rows, wide)) * size).astype(np.float32)
    right = (rng.normal(size=(5, rows, high)) * size).astype(np.float32)
    expected = exact_norms(left, right)
    np.testing.assert_allclose(outer_norms(left, right), expected, rtol=1e-13)
    total, norms = OuterNorms().summed(left, right)
    np.testing.assert_allclose(norms, expected, rtol=1e-13)
    assert total.dtype == np.float32


def test_the_norm_of_a_series_adds_up_in_float64() -> None:
    left, right = np.zeros((1, 2, 160), np.float32), np.zeros((1, 2, 200), np.float32)
    left[:, 0], right[:, 0] = 1, 0.1
    _, norms = OuterNorms().summed(left, right)  # each of 32,000 elements is exactly 0.1
    np.testing.assert_allclose(norms, math.sqrt(32_000) * TENTH, rtol=1e-13)


def test_a_recorded_state_of_1e_minus_25() -> None:
    trace = rg.record(elementwise_loss(1e-25, 1, np.float32))
    tiny = float(np.float32(1e-25))
    assert trace.dtype == "float32"
    assert trace.states[0].initial.value == pytest.approx(tiny, rel=1e-7)
    assert trace.parameters[0].norm == tiny
    assert trace.states[0].initial.status == Status.OK


@pytest.mark.parametrize("detail", ["step", "op"])
def test_a_recorded_layer_of_which_every_square_underflows(detail: str) -> None:
    # An open ReLU: h_t = h_{t-1} + x_t, and the loss is 1e-25 times its last state.
    hidden, time, samples = 64, 5, 2
    layer = nn.RNN(hidden, hidden, nonlinearity="relu", dtype=np.float32, detail=detail)
    for name in ("Wx", "Wh"):
        layer.parameter(name).value[...] = np.eye(hidden)
    layer.parameter("b").value[...] = 0
    x = np.ones((samples, time, hidden), np.float32)
    loss = (layer(rg.Tape().input(x))[:, time - 1] * np.full(hidden, 1e-25, np.float32)).sum()
    trace = rg.record(loss)
    one = float(np.float32(1e-25))
    size = one * math.sqrt(hidden * samples)
    (state,) = trace.states
    np.testing.assert_allclose(state.grad.value, size, rtol=1e-6)
    np.testing.assert_allclose(state.carried.value[:-1], size, rtol=1e-6)
    np.testing.assert_allclose(state.quantiles.value, one * math.sqrt(hidden), rtol=1e-6)
    np.testing.assert_allclose(trace.inputs[0].steps.value, size, rtol=1e-6)
    # Of the weights a step's part is a product of ones, or of the state t before it, and 1e-25, over both samples.
    steps = {one.name: one.steps.value for one in trace.parameters}
    np.testing.assert_allclose(steps["rnn.Wx"], samples * one * hidden, rtol=1e-6)
    np.testing.assert_allclose(steps["rnn.Wh"], np.arange(time) * samples * one * hidden, rtol=1e-6)
    np.testing.assert_allclose(steps["rnn.b"], samples * one * math.sqrt(hidden), rtol=1e-6)
