"""The trend of a row of numbers, step by step: what makes it, what keeps it, and what does not sway it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnngraph.history.trend import CLOSING, IN_A_ROW, NOTHING, OPENING, STEADY, WINDOW, trend_of

NAN = math.nan


def after_each(gains: list[float]) -> list[str | None]:
    return list(trend_of(range(len(gains)), gains).trends)


def test_three_votes_in_a_row_make_a_trend_and_no_two() -> None:
    # The first vote is that of the third measurement: three points are the fewest for a line that one cannot bend.
    assert after_each([-3.0, -2.0]) == [None, None]
    assert after_each([-4.0, -3.0, -2.0, -1.0]) == [None] * 4
    assert after_each([-4.0, -3.0, -2.0, -1.0, 0.0]) == [None] * 4 + [OPENING]
    assert after_each([0.0, -1.0, -2.0, -3.0, -4.0]) == [None] * 4 + [CLOSING]
    assert after_each([-1.0] * 5) == [None] * 4 + [STEADY]


def test_a_trend_changes_with_the_third_vote_against_it() -> None:
    up = [-4.5 + 0.5 * k for k in range(8)]
    gains = up + [up[-1] - 0.5 * k for k in range(1, 12)]
    found = trend_of(range(len(gains)), gains)
    turned = found.trends.index(CLOSING)
    assert found.votes[turned - 2 : turned + 1] == (CLOSING,) * IN_A_ROW
    assert found.votes[turned - 3] != CLOSING
    assert found.trends[turned - 1] != CLOSING
    assert CLOSING not in found.trends[:turned]
    assert gains[found.since] == max(gains)  # it began where it turned


def test_a_single_vote_against_it_starts_the_count_again() -> None:
    found = trend_of(range(5), [-3.0, -2.0, -1.0, -3.0, -3.0])
    assert found.votes == (None, None, OPENING, OPENING, STEADY)  # the median of ten slopes is 0 in the end
    assert found.trend is None


@pytest.mark.parametrize(("change", "trend"), [(0.49, STEADY), (0.51, OPENING), (-0.49, STEADY), (-0.51, CLOSING)])
def test_half_a_decade_over_the_window_makes_a_trend(change: float, trend: str) -> None:
    gains = np.linspace(0, change, WINDOW)
    # Straight lines through fewer points change less: only the last windows are whole.
    row = [*(gains - change / (WINDOW - 1) * WINDOW), *gains, *(gains + change / (WINDOW - 1) * WINDOW)]
    row = [one - 2 for one in row]
    assert trend_of(range(len(row)), row).trend == trend


@pytest.mark.parametrize(("slope", "trend"), [(0.24, STEADY), (0.26, OPENING)])
def test_half_of_that_is_enough_to_stay(slope: float, trend: str) -> None:
    fast = [-5.0 + 0.1 * k for k in range(WINDOW)]
    slow = [fast[-1] + slope / (WINDOW - 1) * k for k in range(1, 2 * WINDOW)]
    found = trend_of(range(len(fast + slow)), fast + slow)
    assert found.trends[WINDOW - 1] == OPENING
    assert found.trend == trend


def test_what_is_lost_sets_the_measure() -> None:
    deep = [-60.0 + 0.3 * k for k in range(12)]  # 2.7 decades over the window, and a tenth of what is lost is 6
    assert trend_of(range(12), deep).trend == STEADY
    assert trend_of(range(12), [gain + 58 for gain in deep]).trend == OPENING


@pytest.mark.parametrize("size", [0.1, 0.3, 1.0])
def test_noise_about_a_level_is_steady(size: float) -> None:
    rng = np.random.default_rng(0)
    found = trend_of(range(200), (-8 + size * rng.normal(size=200)).tolist())
    steady = [one == STEADY for one in found.trends[IN_A_ROW * 2 :]]
    assert np.mean(steady) > 0.95


def test_a_change_must_stand_out_from_the_scatter() -> None:
    rng = np.random.default_rng(0)
    line, noise = np.linspace(-6, -4.8, WINDOW), rng.normal(size=WINDOW)
    assert trend_of(range(WINDOW), (line + 0.03 * noise).tolist()).votes[-1] == OPENING
    assert trend_of(range(WINDOW), (line + 0.6 * noise).tolist()).votes[-1] == STEADY


def test_the_steps_between_measurements_count() -> None:
    steps = [*range(9), 1000]
    gains = [-2 + 0.6 * step / 1000 for step in steps]
    assert trend_of(steps, gains).votes[-1] == OPENING  # 0.6 decades along the line
    assert trend_of(range(10), gains).votes[-1] == STEADY


def test_what_is_no_number_does_not_vote_and_breaks_no_row() -> None:
    found = trend_of(range(8), [-4.0, NAN, -3.0, -2.0, NAN, -1.0, NAN, 0.0])
    assert found.votes == (None, None, None, OPENING, None, OPENING, None, OPENING)
    assert found.trend == OPENING
    assert trend_of(range(3), [NAN] * 3).trends == (None, None, None)
    assert trend_of([], []).trend is None


def test_an_exact_zero_counts_as_less_than_every_number() -> None:
    assert math.log10(np.finfo(np.float64).smallest_subnormal) > NOTHING
    opened = [-math.inf] * 5 + [-1.0] * 5
    assert trend_of(range(10), opened).trends[4:] == (STEADY, STEADY, STEADY, STEADY, STEADY, OPENING)
    assert trend_of(range(10), [-math.inf] * 10).trend == STEADY


def test_more_than_all_is_all() -> None:
    assert trend_of(range(10), [0.0 + k for k in range(10)]).trend == STEADY
    assert trend_of(range(20), [-5.0 + k for k in range(20)]).trends[4:9] == (OPENING,) * 5
    assert trend_of(range(20), [-5.0 + k for k in range(20)]).trend == STEADY


def test_since_when() -> None:
    assert trend_of(range(6), [-1.0, -4.0, -3.0, -2.0, -1.0, 0.0]).since == 1
    level = [-5.0, -4.0, -3.0, *[-2.0] * 20]
    found = trend_of(range(len(level)), level)
    assert found.trend == STEADY
    assert found.since == 3
    assert trend_of(range(6), [-2.0] * 6).since == 0


def test_what_a_steady_trend_does_not_say_yet() -> None:
    assert trend_of(range(10), [-1.0] * 10).leaving == 0
    assert trend_of(range(10), [-1.0] * 7 + [-4.0] * 3).leaving == -3
    assert trend_of(range(10), [-4.0] * 9 + [-1.0]).leaving == 1
    assert trend_of(range(10), [-4.0] * 8 + [-1.0, -4.0]).leaving == 0
    assert trend_of(range(10), [-1.0] * 10).trend == trend_of(range(10), [-1.0] * 7 + [-4.0] * 3).trend == STEADY
    assert trend_of([], []).leaving == 0
