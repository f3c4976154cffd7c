"""Losses that are no longer followed: what is measured stays as it was, and what is not is small."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.errors import InputError
from rnngraph.trace.lag_options import LagOptions
from tests.trace.lag_networks import by_hand, captioner, log_row, measured

LAYERS: dict[str, Any] = {
    "tanh": nn.RNN(4, 6),
    "op": nn.RNN(4, 6, detail="op"),
    "lstm": nn.LSTM(4, 6, num_layers=2),
    "gru": nn.GRU(4, 6),
}


@pytest.mark.parametrize("floor", [1e-4, 1e-9])
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_left_out_is_below_the_floor(name: str, floor: float) -> None:
    loss = captioner(LAYERS[name], time=60)
    whole, pruned = measured(loss), measured(loss, LagOptions("all", "all", floor=floor))
    steps = np.arange(-1, 60)
    states = list(pruned)
    below = np.ones((60, 61), bool)  # below the floor in every sample and state
    for state in states:
        log = whole[state].log
        birth = log[:, np.arange(60), np.arange(60) + 1]
        gain = log - birth[:, :, None]
        below &= (~(gain >= np.log(floor))).all(axis=0)
    # A loss is dropped at its first step below the floor, or with the last of the later losses.
    # Behind timestep 0 there is only the initial state, which is measured with it.
    first = [max(np.flatnonzero(below[s, 2 : s + 1]) + 1, default=-1) for s in range(60)]
    expected = np.minimum.accumulate(np.array(first)[::-1])[::-1]
    assert (expected > -1).any()
    for state in states:
        trace = pruned[state]
        kept = steps >= trace.followed[:, None]
        np.testing.assert_array_equal(trace.followed, expected)
        np.testing.assert_allclose(trace.log[:, kept], whole[state].log[:, kept], rtol=1e-12)
        assert np.isnan(trace.log[:, ~kept]).all()


def test_a_loss_is_followed_as_long_as_one_sample_keeps_it() -> None:
    weight = np.array([[0.1], [0.7]])  # two samples, one that forgets and one that does not
    loss = by_hand(lambda h, _: h * weight, np.ones((2, 1)), time=31, readout=np.ones(1), losses=[20, 30])
    (trace,) = measured(loss, LagOptions("all", "all", floor=1e-4)).values()
    assert trace.followed.tolist() == [-1, 4]  # 0.7 ** 25 = 1.3e-4, 0.7 ** 26 = 9.4e-5
    np.testing.assert_allclose(np.exp(trace.log[0, 1, 5:]), 0.1 ** np.arange(26, -1, -1), rtol=1e-12)


def test_an_exact_zero_stays_one() -> None:
    loss = by_hand(
        lambda h, _: h * 0.5, np.ones((2, 3)), time=40, readout=np.ones(3), losses=[30, 39],
        after=lambda h, _, t: h * np.zeros(1) if t == 20 else h,
    )  # fmt: skip
    whole, pruned = measured(loss)["cell.h"], measured(loss, LagOptions("all", "all", floor=1e-30))["cell.h"]
    np.testing.assert_array_equal(pruned.log, whole.log)
    assert (pruned.log[:, :, :20] == -np.inf).all()
    assert (pruned.followed == -1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_floor_is_the_smallest_normal_number(dtype: Any) -> None:
    # One bit a step: 2 ** -126 is the smallest normal float32, 2 ** -1022 the smallest normal float64.
    loss = by_hand(
        lambda h, _: h * dtype(0.5), np.ones((1, 1), dtype), time=1100, readout=np.ones(1, dtype), losses=[1000, 1099]
    )
    (trace,) = measured(loss, LagOptions()).values()
    bits = {np.float32: 126, np.float64: 1022}[dtype]
    assert trace.floor == pytest.approx(-bits * math.log(2))
    assert trace.followed.tolist() == [-1, 1099 - bits - 1]


def test_other_ways_back_are_never_cut() -> None:
    """A state that is read far away carries a gradient back although every step on the way forgets it."""
    tape = rg.Tape()
    h = tape.input(np.ones((1, 2)), "start")
    states: list[Any] = []
    for t in range(30):
        with tape.scope(t=t):
            h = h * 1e-3 + (states[4] if t == 29 else 0.0)
        states.append(h)
    tape.state("cell.h", states)
    (whole,) = measured(states[-1].sum()).values()
    (pruned,) = measured(states[-1].sum(), LagOptions("all", "all", floor=1e-6)).values()
    np.testing.assert_array_equal(pruned.log, whole.log)
    assert whole.log[0, 0, 5] == pytest.approx(math.log(math.sqrt(2)))


def test_two_directions_are_followed_to_the_end() -> None:
    loss = captioner(nn.RNN(4, 6, num_layers=2, bidirectional=True), time=40)
    whole, pruned = measured(loss), measured(loss, LagOptions("all", "all", floor=1e-4))
    for name, trace in pruned.items():
        np.testing.assert_array_equal(trace.log, whole[name].log)
        assert (trace.followed == -1).all()


def test_blocks_are_pruned_on_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = captioner(nn.LSTM(4, 6), time=60)
    whole = measured(loss, LagOptions("all", "all", floor=1e-6))
    monkeypatch.setattr("rnngraph.trace.lags._BYTES", 34_560)  # about twenty losses a block
    for name, trace in measured(loss, LagOptions("all", "all", floor=1e-6)).items():
        assert (trace.followed > -1).any()
        assert (trace.followed != whole[name].followed).any()
        both = np.isfinite(trace.log) & np.isfinite(whole[name].log)
        np.testing.assert_allclose(trace.log[both], whole[name].log[both], rtol=1e-12)


@pytest.mark.parametrize("every", [True, False])
def test_what_grows_again_is_not_dropped(every: bool) -> None:
    # Back over the last ten steps a gradient shrinks to 1e-10, and then it doubles fifty times.
    factors = np.where(np.arange(60) < 50, 2.0, 0.1)
    inputs = np.broadcast_to(factors[None, :, None], (2, 60, 1)).copy()
    losses = range(60) if every else [59]
    loss = by_hand(lambda h, x: h * x, np.ones((2, 1)), time=60, readout=np.ones(1), inputs=inputs, losses=losses)
    (trace,) = measured(loss, LagOptions("all", "all", floor=1e-6)).values()
    assert (trace.followed == -1).all()
    expected = np.append(np.cumsum(np.log(factors[::-1]))[::-1], 0.0)
    np.testing.assert_allclose(trace.log[0, -1], expected, rtol=1e-12, atol=1e-12)


def test_a_loss_alone_is_followed_to_the_end() -> None:
    loss = by_hand(lambda h, _: h * 0.5, np.ones((2, 1)), time=60, readout=np.ones(1), losses=[59])
    (trace,) = measured(loss, LagOptions("all", "all", floor=1e-6)).values()
    np.testing.assert_allclose(log_row(trace, 59), -np.arange(61) * np.log(2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("floor", [1e-4, 1e-7])
def test_the_curve_is_not_biased_by_what_is_left_out(floor: float) -> None:
    # The late losses vanish at once and the early ones hardly: without the late ones, the median would rise.
    rates = np.where(np.arange(80) < 30, 0.98, 0.1)
    inputs = np.broadcast_to(rates[None, :, None], (2, 80, 1)).copy()
    loss = by_hand(lambda h, x: h * x, np.ones((2, 1)), time=80, readout=np.ones(1), inputs=inputs)
    (trace,) = measured(loss, LagOptions("all", "all", floor=floor)).values()
    assert (trace.followed > -1).sum() > 30
    curve = lag_curve([trace], "forward")
    for lag in range(1, 80):
        gains = np.array([np.log(rates[s - lag + 1 : s + 1]).sum() for s in range(lag, 80)])
        assert curve.pairs[lag - 1] == 2 * len(gains)
        assert curve.median[lag - 1] == pytest.approx(float(np.median(np.maximum(gains, np.log(floor)))))


def test_the_slope_is_that_of_what_was_measured() -> None:
    loss = by_hand(lambda h, _: h * 0.5, np.ones((2, 1)), time=100, readout=np.ones(1))
    curve = lag_curve([measured(loss, LagOptions("all", "all", floor=1e-6))["cell.h"]], "forward")
    assert curve.rate(90) == pytest.approx(math.log(0.5), abs=1e-12)
    assert curve.median[60] == pytest.approx(math.log(1e-6))
    assert curve.memory_horizon(0.01) == 6


def test_lags_that_were_not_wanted_are_no_pairs() -> None:
    loss = by_hand(lambda h, _: h * 0.5, np.ones((2, 1)), time=40, readout=np.ones(1))
    curve = lag_curve([measured(loss, LagOptions("all", "all", max_lag=25, floor=1e-4))["cell.h"]], "forward")
    np.testing.assert_array_equal(curve.pairs, np.where(np.arange(1, 40) <= 25, 2 * np.arange(39, 0, -1), 0))
    assert curve.median[24] == pytest.approx(math.log(1e-4))


def test_the_verdict_says_at_most() -> None:
    loss = captioner(nn.RNN(8, 16, dtype=np.float32), time=300)
    short, whole = (rg.diagnose(rg.record(loss, lags=LagOptions(floor=floor)), horizon=250) for floor in (None, 0))
    assert short.verdict == whole.verdict == "vanishing"
    assert short.decades == pytest.approx(math.log10(2**-126))
    assert short.floor == pytest.approx(math.log10(2**-126))
    assert whole.floor is None
    assert whole.decades is not None
    assert whole.decades < -50
    assert "at most 1e-37.93" in str(short)
    assert "at most" not in str(whole)
    assert short.memory_horizon == whole.memory_horizon


@pytest.mark.parametrize("floor", [-0.1, 1e-3, 1, float("nan"), "low"])
def test_a_floor_is_checked(floor: Any) -> None:
    with pytest.raises(InputError, match="floor is"):
        LagOptions(floor=floor)
