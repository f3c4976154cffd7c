"""A recurrence that runs from the last step to the first: where a loss arrives, what it reaches, how lags count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.diagnosis.sums import sums_of
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.lags import arrivals
from tests.measure.lag_networks import measured

T = 6
HALF = math.log(0.5)


def backwards(factors: Sequence[float], *, skip: int = 1) -> tuple[list[Any], Any]:
    """Record `h_t = factors[t] · h_{t + skip}` with `T` the initial state, ones (2, 3): the states by timestep."""
    tape = rg.Tape()
    start = tape.input(np.ones((2, 3)), "h0")
    states: list[Any] = [start] * (len(factors) + skip)
    for t in reversed(range(len(factors))):
        with tape.scope(t=t):
            states[t] = states[t + skip] * factors[t]
    tape.state("cell.h", states[: len(factors)], initial=start, direction="reverse")
    return states[: len(factors)], tape


def summed(states: list[Any]) -> Any:
    return sum((one.sum() for one in states[1:]), start=states[0].sum())


def test_each_loss_is_felt_at_its_own_step_and_at_those_after_it() -> None:
    states, _ = backwards([0.5] * T)
    trace = measured(summed(states))["cell.h"]
    np.testing.assert_array_equal(trace.arrivals, [list(range(T))] * 2)
    lag = np.arange(T) - np.arange(T)[:, None]
    steps = np.where(lag >= 0, lag * HALF, np.nan)
    initial = (T - np.arange(T)) * HALF
    expected = np.column_stack([initial, steps]) + math.log(3) / 2
    np.testing.assert_allclose(trace.log, [expected] * 2, rtol=1e-12)
    curve = lag_curve([trace], "reverse")
    np.testing.assert_allclose(curve.median, HALF * np.arange(1, T), rtol=1e-12)
    np.testing.assert_array_equal(sums_of(curve.credit).pairs, 2 * np.arange(T - 1, 0, -1))


@pytest.mark.parametrize("largest", [1, 2, 3, 5, 6])
def test_a_largest_lag_counts_from_the_loss_to_the_right(largest: int) -> None:
    states, _ = backwards([0.5] * T)
    trace = measured(summed(states), LagOptions("all", "all", max_lag=largest))["cell.h"]
    s, t = np.arange(T)[:, None], np.arange(T)
    np.testing.assert_array_equal(~np.isnan(trace.log[0, :, 1:]), (t >= s) & (t - s <= largest))
    np.testing.assert_array_equal(~np.isnan(trace.log[0, :, 0]), T - s[:, 0] <= largest)  # behind the last timestep


def test_an_exact_zero_ends_the_walk_at_its_step() -> None:
    states, _ = backwards([0.5, 0.5, 0.5, 0.0, 0.5, 0.5])
    found = measured(states[0].sum())["cell.h"].log[0, 0]
    np.testing.assert_allclose(found[1:5], np.arange(4) * HALF + math.log(3) / 2, rtol=1e-12)
    assert (found[[5, 6, 0]] == -np.inf).all()


def test_steps_that_are_passed_by_are_no_zeros() -> None:
    states, _ = backwards([0.5] * T, skip=2)
    found = measured(states[0].sum())["cell.h"].log[0, 0]
    np.testing.assert_allclose(found[[1, 3, 5, 0]], np.arange(4) * HALF + math.log(3) / 2, rtol=1e-12)
    assert np.isnan(found[[2, 4, 6]]).all()


def test_a_loss_of_another_clock_arrives_at_the_state_that_was_computed_last() -> None:
    states, tape = backwards([0.5] * T)
    h, decoded = states[0], []
    for t in range(4):
        with tape.scope(t=t):
            h = h * 1.0
        decoded.append(h)
    tape.state("decoder.h", decoded, initial=states[0])
    trace = measured(summed(decoded))["cell.h"]
    assert (trace.arrivals == 0).all()
    size = math.log(3) / 2
    np.testing.assert_allclose(trace.log[:, :, 1:], np.broadcast_to(np.arange(T) * HALF + size, (2, 4, T)), rtol=1e-12)
    np.testing.assert_allclose(trace.log[:, :, 0], T * HALF + size, rtol=1e-12)


@pytest.mark.parametrize(
    ("reverse", "own", "expected"),
    [
        (True, True, [2, 3, 2, 2]),
        (True, False, [2, 3, 1, 2]),
        (False, True, [2, 3, 2, 2]),
        (False, False, [4, 3, 3, 2]),
    ],
)
def test_arrivals_by_direction(reverse: bool, own: bool, expected: list[int]) -> None:
    # A loss at step 2 is felt at 2, 3 and 4; at 3 alone; at 1, 2 and 3; nowhere. Column 0 is the initial state.
    log = np.full((4, 1, 6), np.nan)
    log[0, 0, 3:] = log[1, 0, 4] = log[2, 0, 2:5] = 0
    found = arrivals(np.array([2]), log, reverse, own=np.array([own]))
    np.testing.assert_array_equal(found[:, 0], expected)
