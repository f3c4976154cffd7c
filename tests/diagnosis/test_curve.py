"""The lag curve against hand-made matrices and lines."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis import curve as curve_module
from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10, LagCurve, lag_curve, taken
from rnngraph.diagnosis.slope import half_life, theil_sen
from rnngraph.diagnosis.sums import sums_of
from rnngraph.trace.model import LagTrace
from rnngraph.trace.quantile import quantile


def made(log: Any, losses: Any, *, copied: Any = None, severed: Any = None) -> LagTrace:
    log = np.asarray(log, float)
    batch, _, columns = log.shape
    losses, nothing = np.asarray(losses, dtype=np.int64), np.zeros((batch, columns - 1), bool)
    return LagTrace(
        "h", losses, np.zeros(len(losses), dtype=np.int64), np.arange(batch), log,
        nothing if copied is None else np.asarray(copied), nothing if severed is None else np.asarray(severed),
        np.tile(losses, (batch, 1)), len(losses), batch, None,
    )  # fmt: skip


def sloped(rate: float, time: int, losses: Any, start: float = 3.0) -> LagTrace:
    lag = np.asarray(losses)[:, None] - np.arange(-1, time)
    return made(np.where(lag >= 0, start + rate * lag, np.nan)[None], losses)


def test_the_fit_returns_the_slope() -> None:
    x = np.arange(3.0, 60.0)
    assert theil_sen(x, 2.0 - 0.31 * x) == pytest.approx(-0.31, abs=1e-12)
    assert theil_sen(np.arange(2000.0), 0.5 * np.arange(2000.0)) == pytest.approx(0.5, abs=1e-12)
    outlier = -0.2 * x
    outlier[5] = 100
    assert theil_sen(x, outlier) == pytest.approx(-0.2, abs=1e-12)


def test_a_straight_curve() -> None:
    curve = lag_curve([sloped(math.log(0.9), 50, [9, 30, 49])], "forward")
    np.testing.assert_allclose(curve.median, math.log(0.9) * np.arange(1, 50), rtol=1e-12)
    assert curve.rate(40) == pytest.approx(math.log(0.9), abs=1e-12)
    assert math.log(2) / -curve.rate(40) == pytest.approx(6.5788, abs=1e-4)
    np.testing.assert_array_equal(sums_of(curve.credit).pairs[[0, 8, 9, 29, 30, 48]], [3, 3, 2, 2, 1, 1])
    assert curve.credit.seeds == 3


def test_the_reverse_direction_counts_the_other_way() -> None:
    losses = np.array([0, 10])
    lag = np.arange(-1, 20) - losses[:, None]
    log = np.where(lag >= 0, -0.5 * lag, np.nan)
    log[:, 0] = -0.5 * (20 - losses)
    curve = lag_curve([made(log[None], losses)], "reverse")
    np.testing.assert_allclose(curve.median, -0.5 * np.arange(1, 20), rtol=1e-12)


def test_copies_are_not_counted_and_cuts_not_crossed() -> None:
    copied = [[False, False, True, True, False]]
    log = [[[-9.0, -3.0, -2.0, -2.0, -2.0, 0.0]]]
    curve = lag_curve([made(log, [4], copied=copied)], "forward")
    np.testing.assert_array_equal(curve.median[:2], [-2.0, -3.0])
    assert sums_of(curve.credit).longest == 2
    cut = [[False, False, False, True, False]]
    log = [[[-np.inf, -np.inf, -np.inf, -np.inf, -1.0, 0.0]]]
    curve = lag_curve([made(log, [4], severed=cut)], "forward")
    assert sums_of(curve.credit).longest == 1
    assert curve.median[0] == -1.0


def test_a_loss_on_a_copied_step_starts_from_the_real_one() -> None:
    log = [[[0.0, -4.0, -2.0, 0.0, 0.0, 0.0]]]
    curve = lag_curve([made(log, [4], copied=[[False, False, False, True, True]])], "forward")
    np.testing.assert_array_equal(curve.median[:2], [-2.0, -4.0])


def test_states_carried_together_are_pooled_as_one_vector() -> None:
    h, c = made([[[np.nan, -np.inf, 0.0]]], [1]), made([[[np.nan, math.log(3), math.log(4)]]], [1])
    curve = lag_curve([h, c], "forward")
    assert curve.median[0] == pytest.approx(math.log(3) - math.log(math.hypot(1, 4)))


def test_one_long_sample_does_not_define_the_batch() -> None:
    # 9 losses of a sample that keeps everything, one loss each of two that lose 1 nat a step.
    time, losses = 12, np.arange(3, 12)
    lag = losses[:, None] - np.arange(-1, time)
    keeps = np.where(lag >= 0, 0.0, np.nan)
    loses = np.full_like(keeps, np.nan)
    loses[-1] = np.where(lag[-1] >= 0, -1.0 * lag[-1], np.nan)
    curve = lag_curve([made([keeps, loses, loses], losses)], "forward")
    np.testing.assert_allclose(curve.median[:5], -np.arange(1.0, 6.0))


def test_a_lag_counts_the_pairs_that_reach_it() -> None:
    log = np.zeros((3, 1, 13))
    samples = made(log, [11])
    arrivals = np.array([[11], [7], [3]])
    lag = arrivals[:, :, None] - np.arange(-1, 12)
    curve = lag_curve([replace(samples, log=np.where(lag >= 0, log, np.nan), arrivals=arrivals)], "forward")
    np.testing.assert_array_equal(sums_of(curve.credit).pairs[[2, 3, 6, 7, 10]], [3, 2, 2, 1, 1])


def test_zero_and_infinity() -> None:
    log = [[[np.nan, -np.inf, -2.0, np.inf, 0.0]]]
    curve = lag_curve([made(log, [3])], "forward")
    assert np.isnan(curve.median[0])
    assert curve.median[1] == -2
    assert curve.median[2] == -np.inf
    assert curve.credit.nonfinite == 1
    assert curve.rate(3) == -1.0  # one finite point: from a gain of 1 at lag 0


def test_no_pair_at_all() -> None:
    curve = lag_curve([made(np.zeros((1, 0, 4)), np.zeros(0, int))], "forward")
    assert isinstance(curve, LagCurve)
    assert sums_of(curve.credit).longest == 0


def test_quantiles_with_minus_infinity() -> None:
    values = np.array([[-np.inf, 1.0, 3.0, np.nan], [-np.inf, -np.inf, 2.0, np.nan], [np.nan] * 4])
    np.testing.assert_array_equal(quantile(values, 0.5, axis=1), [1.0, -np.inf, np.nan])
    np.testing.assert_array_equal(quantile(values, 0.9, axis=1)[:1], [1.0 + 0.8 * 2.0])


def test_the_norm_log_norm_leaves_out_what_is_not_known() -> None:
    with np.errstate(divide="ignore"):
        log = np.log([[[3.0, np.nan, 0.0, np.nan, 1e-200]], [[4.0, 2.0, 5.0, np.nan, 1e-200]]])
    expected = [math.log(5), math.log(2), math.log(5), np.nan, math.log(math.sqrt(2)) - 200 * LN10]
    np.testing.assert_allclose(log_norm(log)[0], expected, rtol=1e-14)
    np.testing.assert_array_equal(log_norm(np.array([[[np.inf, np.inf, -np.inf]], [[np.nan, 0.0, -np.inf]]]))[0],
                                  [np.inf, np.inf, -np.inf])  # fmt: skip


def test_the_half_life() -> None:
    assert half_life(math.log(0.5)) == 1
    assert half_life(math.log(0.9)) == pytest.approx(6.5788, abs=1e-4)
    assert [half_life(rate) for rate in (0.0, 0.1, math.nan, -math.inf)] == [None] * 4


def test_the_band_holds_four_fifths_of_the_losses() -> None:
    # Eleven losses, of which each loses one nat more over the same step.
    log = np.where(np.arange(-1, 2) < 1, -np.arange(11.0)[:, None], 0.0)
    curve = lag_curve([made(log[None], np.ones(11, int))], "forward")
    found = [values[..., 0].item() for values in (curve.low, curve.median, curve.high, curve.sample_high)]
    assert found == pytest.approx([-9, -5, -1, -1])


def test_a_loss_begins_where_it_arrives_at_any_of_the_states() -> None:
    # c is reached one step later in time than h, and 0.5 nats larger.
    h, c = made([[[0.0, 1.0, 2.0, np.nan]]], [1]), made([[[0.0, 1.0, 2.0, 2.5]]], [2])
    both = lag_curve([h, c], "forward")
    np.testing.assert_allclose(both.median, math.log(2) / 2 + np.array([2.0, 1.0]) - 2.5)


@pytest.mark.parametrize("seed", range(3))
def test_what_runs_the_other_way_in_time_has_the_same_curve(seed: int) -> None:
    rng, time = np.random.default_rng(seed), 30
    copied, severed = rng.random((2, time)) < 0.2, rng.random((2, time)) < 0.05
    forward, reverse = [], []
    for late in (0, 1):
        arrivals = np.minimum(rng.integers(3, time, size=(2, 5)) + late, time - 1)
        log = np.where(np.arange(-1, time) <= arrivals[:, :, None], rng.normal(size=(2, 5, time + 1)), np.nan)
        one = replace(made(log, np.arange(5), copied=copied, severed=severed), arrivals=arrivals)
        forward.append(one)
        mirrored = np.concatenate([log[:, :, :1], log[:, :, :0:-1]], axis=2)
        turned: dict[str, Any] = {"copied": copied[:, ::-1], "severed": severed[:, ::-1]}
        reverse.append(replace(one, log=mirrored, arrivals=time - 1 - arrivals, **turned))
    there, back = lag_curve(forward, "forward"), lag_curve(reverse, "reverse")
    counted = [sums_of(one.credit).pairs for one in (there, back)]
    assert counted[0].sum() > 20
    np.testing.assert_array_equal(counted[0], counted[1])
    for name in ("median", "low", "high", "sample_median", "sample_high"):
        np.testing.assert_array_equal(getattr(there, name), getattr(back, name))
    assert there.rate(10) == back.rate(10)


def pairs_of(*rows: tuple[float, int, int]) -> LagCurve:
    """Losses of one sample, each with a slope and the first and last lag of which it is known."""
    time = max(last for _, _, last in rows) + 1
    lag = time - 1 - np.arange(-1, time)
    log = [np.where((lag == 0) | ((lag >= first) & (lag <= end)), rate * lag, np.nan) for rate, first, end in rows]
    return lag_curve([made(np.array(log)[None], np.full(len(rows), time - 1))], "forward")


def test_a_slope_weighs_as_much_as_the_lags_that_it_spans() -> None:
    # Two slopes over 4 lags weigh 8, and one over 7 lags less.
    assert pairs_of((-0.5, 1, 5), (-0.5, 1, 5), (-0.1, 1, 8)).rate(8) == pytest.approx(-0.5)
    assert pairs_of((-0.5, 2, 5), (-0.5, 2, 5), (-0.1, 1, 8)).rate(8) == pytest.approx(-0.1)  # 6 against 7


@pytest.mark.parametrize("together", [1, 2**18])
def test_every_pair_of_every_sample_has_a_slope(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_module, "_TOGETHER", together)  # one loss at a time, or all
    # The slopes -0.1, -0.2, ..., -0.6 of three losses in two samples weigh the same.
    lag = 20 - np.arange(-1, 21)
    rates = -0.1 * np.arange(1, 7).reshape(2, 3, 1)
    log = np.where(lag >= 0, rates * lag, np.nan)
    assert lag_curve([made(log, [20, 20, 20])], "forward").rate(20) == pytest.approx(-0.35)


def test_a_few_pairs_stand_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []

    def counted(x: Any, y: Any) -> float:
        fitted.append(len(x))
        return theil_sen(x, y)

    monkeypatch.setattr(curve_module, "theil_sen", counted)
    lag = 9 - np.arange(-1, 10)
    log = np.broadcast_to(np.where(lag >= 0, -0.2 * lag, np.nan), (20, 30, 11))
    for samples, pairs in ((20, 512), (3, 90)):
        fitted.clear()
        assert lag_curve([made(log[:samples], np.full(30, 9))], "forward").rate(9) == pytest.approx(-0.2)
        assert len(fitted) == pairs


@pytest.mark.parametrize(("rate", "expected"), [(-2e-9, -2e-9), (5e-10, 0.0), (-0.5, -0.5)])
def test_what_is_rounding_is_no_slope(rate: float, expected: float) -> None:
    assert lag_curve([sloped(rate, 30, [29], start=0.0)], "forward").rate(29) == pytest.approx(expected, rel=1e-3)


def test_the_peak_is_the_largest_that_is_known_up_to_a_lag() -> None:
    curve = lag_curve([made([[[np.nan, 9.0, np.nan, 2.0, 1.0, 0.0]]], [4])], "forward")
    assert [curve.peak(lag) for lag in (1, 2, 3, 4)] == [1, 2, 2, 9]
    assert math.isnan(lag_curve([made([[[np.nan, 0.0, np.nan]]], [0])], "forward").peak(1))


def test_a_loss_of_which_nothing_is_known_has_no_pair() -> None:
    curve = lag_curve([made(np.full((1, 1, 4), np.nan), [2])], "forward")
    assert (curve.credit.seeds, sums_of(curve.credit).longest) == (0, 0)


def test_what_was_measured_is_said() -> None:
    one = made(np.zeros((2, 3, 5)), [1, 2, 3])
    assert taken(one) == "all loss steps, all samples"
    part = replace(one, available=9, batch=5, max_lag=7)
    assert taken(part) == "3 of 9 loss steps, 2 of 5 samples, up to lag 7"
