"""A bidirectional layer of open ReLUs: what a loss reaches in one direction is what it does not reach in the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.tape.record import open_recording
from rnngraph.trace.magnitudes import Status
from tests.measure.lag_networks import measured

T = 6
CASES = pytest.mark.parametrize("detail", ["step", "op"])


def both(weight: float, *, detail: str, truncate: int | None = None, batch: int = 1) -> Any:
    """h_t = a h_{t-1} + x_t, and h_t = a h_{t+1} + x_t: ∂h_s/∂h_k = a^|s-k| on the side that a direction has seen."""
    layer = nn.RNN(3, 3, nonlinearity="relu", bidirectional=True, detail=detail, truncate=truncate)
    for name in ("", "_l0_reverse"):
        layer.parameter("Wh" + name).value[...] = weight * np.eye(3)
        layer.parameter("Wx" + name).value[...] = np.eye(3)
    return layer(rg.Tape().input(np.ones((batch, T, 3))))


@CASES
@pytest.mark.parametrize(("weight", "gone"), [(1.0, Status.OK), (1e-200, Status.UNDERFLOW)])
def test_a_loss_on_both_directions_reaches_one_before_it_and_the_other_after_it(
    weight: float, gone: Status, detail: str
) -> None:
    hidden = both(weight, detail=detail)
    s = 2
    trace = rg.record((hidden[:, s] * np.array([1.0, 2, 2, 2, 4, 4])).sum(), lags=LagOptions("all", "all"))
    t = np.arange(T)
    for lags, state, side, size, before in zip(
        trace.lags, trace.states, (t <= s, t >= s), (3.0, 6.0), (s + 1, T - s), strict=True
    ):
        distance = np.abs(t - s)
        expected = np.where(side, math.log(size) + distance * math.log(weight), np.nan)
        np.testing.assert_allclose(lags.log[0, 0, 1:], expected, rtol=1e-12)
        np.testing.assert_allclose(lags.log[0, 0, 0], math.log(size) + before * math.log(weight), rtol=1e-12)
        far = side & (distance >= 2)
        status = np.where(~side, Status.ZERO, np.where(far, gone, Status.OK))
        np.testing.assert_array_equal(state.grad.status, status)
        np.testing.assert_array_equal(state.carried.status[~side], Status.ZERO)
        np.testing.assert_array_equal(state.carried.status[side & (distance > 0)], status[side & (distance > 0)])


@CASES
@pytest.mark.parametrize("truncate", [None, 2, 4])
@pytest.mark.parametrize("losses", [[1], [4], list(range(T))], ids=["second", "last but one", "all"])
def test_what_is_not_reached_is_not_measured_and_what_is_cut_is_zero(
    losses: list[int], truncate: int | None, detail: str
) -> None:
    hidden = both(0.5, detail=detail, truncate=truncate, batch=2)
    parts = [hidden[:, s].sum() for s in losses]
    traces = measured(sum(parts[1:], start=parts[0]))
    for name, reverse in (("rnn.h", False), ("rnn.h_l0_reverse", True)):
        expected = np.full((len(losses), T + 1), np.nan)
        for row, s in enumerate(losses):
            place = T - 1 - s if reverse else s  # in the order of processing, in which -1 is the initial state
            whole = truncate or T + 1
            earliest = place // whole * whole if truncate and place >= truncate else -1
            for before in range(-1, place + 1):
                t = T - 1 - before if reverse and before >= 0 else before
                felt = before >= earliest
                expected[row, t + 1] = (place - before) * math.log(0.5) + math.log(3) / 2 if felt else -math.inf
        np.testing.assert_allclose(traces[name].log, [expected] * 2, rtol=1e-12)


def test_losses_of_one_direction_alone_are_all_found() -> None:
    hidden = nn.RNN(3, 4, bidirectional=True)(rg.Tape().input(np.ones((2, 8, 3))))
    loss = hidden[:, 3, :4].sum() + hidden[:, 5, 4:].sum()
    assert open_recording(loss).losses().pairs.tolist() == [[0, 3], [0, 5]]
