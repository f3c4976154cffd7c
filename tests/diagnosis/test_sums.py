"""Sums over losses and samples against hand-made matrices, where every number is on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.credit import credit_at_input, credit_of
from rnngraph.diagnosis.sums import Sums, sums_of
from tests.diagnosis.test_curve import made

NAN = np.nan


def matrix(rows: Any, losses: Any, **marks: Any) -> Sums:
    """Sum a matrix that is given sample by sample, (B, S, T), of norms and not of logarithms."""
    with np.errstate(divide="ignore"):
        log = np.log(np.asarray(rows, float))
    log = np.concatenate([np.full((*log.shape[:2], 1), NAN), log], axis=2)  # the initial state
    return sums_of(credit_of([made(log, losses, **marks)], "forward"))


def test_a_loss_weighs_as_much_as_its_gradient() -> None:
    # Two losses at step 2: a gradient of 1 that keeps all, and one of 9 that keeps a third a step.
    sums = matrix([[[1.0, 1, 1], [1.0, 3, 9]]], [2, 2])
    assert sums.gain(1) == pytest.approx(math.log(4 / 10))
    assert sums.gain(2) == pytest.approx(math.log(2 / 10))
    assert sums.gain_from_first(2) == pytest.approx(math.log(2 / 4))
    assert sums.gain_from_first(1) == 0
    np.testing.assert_allclose(sums.end_to_end(), [0, math.log(2 / 4)], atol=1e-12)


def test_only_pairs_that_have_the_lag_are_set_against_each_other() -> None:
    sums = matrix([[[NAN, 5.0, 7.0], [2.0, 4, 8]]], [1, 2])  # nothing is known of the first loss at step 0
    np.testing.assert_array_equal(sums.pairs, [1, 1])
    sums = matrix([[[2.0, 7.0, NAN], [2.0, 4, 8]]], [1, 2])
    assert sums.gain(1) == pytest.approx(math.log((2 + 4) / (7 + 8)))
    assert sums.gain(2) == pytest.approx(math.log(2 / 8))
    assert sums.gain_from_first(2) == pytest.approx(math.log(2 / 4))


def test_lighter_pairs_count_for_less_end_to_end_and_heavier_ones_for_no_more() -> None:
    # Only one of two losses has lag 2. At lag 1 it weighs 1 of 1000, where a mean one weighs 500, and a tenth of it 50.
    light = matrix([[[999.0, 999, NAN], [1.0, 1, 1]]], [1, 2])
    assert light.end_to_end()[1] == pytest.approx(math.log(1 / 50.0))
    near = matrix([[[9.0, 9, NAN], [1.0, 1, 1]]], [1, 2])
    assert near.end_to_end()[1] == 0
    heavy = matrix([[[1.0, 1, NAN], [99.0, 99, 99]]], [1, 2])
    assert heavy.end_to_end()[1] == 0


def test_an_exact_zero_is_counted() -> None:
    sums = matrix([[[0.0, 1, 1], [1.0, 1, 1]]], [2, 2])
    assert sums.gain(2) == pytest.approx(math.log(1 / 2))
    gone = matrix([[[0.0, 0, 1]]], [2])
    assert gone.gain(2) == -math.inf
    assert gone.gain_from_first(2) == -math.inf
    np.testing.assert_array_equal(gone.end_to_end(), [-np.inf, -np.inf])


def test_numbers_far_below_the_smallest_float() -> None:
    log = np.array([[[NAN, -2000.0, -1000.0, 0.0], [NAN, -2000.0, -1000.0, 0.0]]])
    sums = sums_of(credit_of([made(log, [2, 2])], "forward"))
    assert sums.gain(2) == pytest.approx(-2000)
    assert sums.gain_from_first(2) == pytest.approx(-1000)


@pytest.mark.parametrize(("share", "expected"), [(0.05, 2), (0.2, 1), (0.99, 1)])
def test_a_lag_is_covered_by_weight(share: float, expected: int) -> None:
    # Of two losses the one that has lag 2 gives a tenth of the gradient at lag 1.
    assert matrix([[[9.0, 9, NAN], [1.0, 1, 1]]], [1, 2]).covered(share) == expected


def test_one_sample_does_not_cover_a_lag_for_three() -> None:
    rows = [[[1.0, 1, 1]], [[NAN, 1, 1]], [[NAN, 1, 1]]]
    assert matrix(rows, [2]).covered(0.1) == 1
    assert matrix(rows[:2], [2]).covered(0.1) == 2  # half of them is enough
    assert matrix(rows, [2]).longest == 2


@pytest.mark.parametrize(
    ("sizes", "share"), [([1, 1, 1, 1], 1.0), ([1, 0, 0, 0], 0.25), ([1, 1, 0, 0], 0.5), ([3, 1, 0, 0], 0.4)]
)
def test_participation(sizes: list[float], share: float) -> None:
    # (Σq)² / Σq² over four: (3 + 1)² / (9 + 1) / 4 = 0.4
    losses = matrix([[[0.5, size, 1.0] for size in sizes]], [2] * 4)
    assert losses.participation(2)[0] == pytest.approx(share)
    samples = matrix([[[size, 1.0, 1.0]] for size in sizes], [2])
    assert samples.participation(2)[1] == pytest.approx(share)


def test_participation_where_nothing_arrives_is_not_known() -> None:
    assert math.isnan(matrix([[[0.0, 0.0, 1.0]]], [2]).participation(2)[1])


def test_an_input_is_counted_as_the_steps_of_the_recurrence_that_reads_it() -> None:
    copied = np.array([[False, True, False, False]])
    log = np.log(np.array([[[NAN, 1.0, 1.0, 4.0, 8.0]]]))
    states = credit_of([made(log, [3], copied=copied)], "forward")
    fed = credit_at_input(np.log(np.array([[[2.0, 99.0, 4.0, 1.0]]])), states)
    sums = sums_of(fed)
    assert sums.gain_from_first(2) == pytest.approx(math.log(2 / 4))  # the copied step is no lag
    assert sums.pairs.tolist() == [1, 1, 0]


def test_an_input_that_gets_nothing_at_its_own_step_has_lags_all_the_same() -> None:
    states = credit_of([made(np.log(np.array([[[NAN, 1.0, 1.0, 1.0]]])), [2])], "forward")
    with np.errstate(divide="ignore"):
        fed = sums_of(credit_at_input(np.log(np.array([[[1.0, 2.0, 0.0]]])), states))
    np.testing.assert_array_equal(fed.pairs, [1, 1])
    assert fed.end_to_end()[1] == pytest.approx(math.log(1 / 2))


def test_the_reach_is_the_last_lag_at_which_so_much_is_left_of_what_there_was_at_lag_1() -> None:
    # A half a step, and again a third at lag 5, where the credit comes again by another way.
    sums = matrix([[[1 / 3, 1 / 8, 1 / 4, 1 / 2, 1.0, 9.0]]], [5])
    assert [sums.reach(share * (1 - 1e-9)) for share in (1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 8)] == [1, 2, 5, 5, 5]
    assert [sums.reach(share * (1 + 1e-9)) for share in (1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 8)] == [0, 1, 2, 5, 5]
    assert sums.reach(1.0) == 1  # what is set against itself is all there
    assert matrix([[[1.0]]], [0]).reach(0.01) is None


def test_no_loss_at_all() -> None:
    sums = sums_of(credit_of([made(np.empty((2, 0, 4)), [])], "forward"))
    assert sums.longest == sums.covered(0.1) == 0
    assert math.isnan(sums.gain(0))


def test_what_is_not_known_of_a_tiny_sum_overflows_nothing() -> None:
    log = np.full((1, 1, 5), NAN)
    log[0, 0, 1:4] = [-1500.0, -800.0, 0.0]
    sums = sums_of(credit_of([made(log, [2])], "forward"))
    assert sums.gain(2) == pytest.approx(-1500.0)


def test_a_share_is_covered_where_it_is_reached_exactly() -> None:
    sums = matrix([[[9.0, 9, NAN], [1.0, 1, 1]]], [1, 2])  # the loss that has lag 2 weighs a tenth
    assert [sums.covered(share) for share in (0.0999, 0.1, 0.1001)] == [2, 2, 1]


def test_where_nothing_arrives_at_an_input_pairs_are_counted() -> None:
    with np.errstate(divide="ignore"):
        log = np.log(np.array([[[NAN, NAN, 1.0, 1.0, NAN], [NAN, NAN, 1.0, 1.0, 1.0]]]))
        fed = np.log(np.array([[[NAN, 0.0, 0.0, NAN], [NAN, 0.0, 0.0, 0.0]]]))
    sums = sums_of(credit_at_input(fed, credit_of([made(log, [2, 3])], "forward")))
    assert sums.pairs.tolist() == [2, 1, 0]  # of two losses, one has lag 2
    assert [sums.covered(share) for share in (0.5, 0.51)] == [2, 1]
    np.testing.assert_array_equal(sums.end_to_end(), [-np.inf, -np.inf, NAN])


def test_what_is_heard_only_far_away_is_set_against_where_it_is_heard_best() -> None:
    states = credit_of([made(np.zeros((1, 1, 6)), [4])], "forward")
    with np.errstate(divide="ignore"):
        fed = np.log(np.array([[[2.0, 4.0, 8.0, 0.0, 0.0]]]))  # nothing at lags 0 and 1
    sums = sums_of(credit_at_input(fed, states))
    np.testing.assert_allclose(sums.end_to_end(), [-np.inf, 0, math.log(4 / 8), math.log(2 / 8)], atol=1e-12)
    assert sums.covered(1.0) == 4


def test_a_tiny_sum_beside_what_is_not_known() -> None:
    log = np.full((1, 2, 4), NAN)
    log[0, 0, 1:] = [-2000.0, -1000.0, 0.0]
    log[0, 1, 2:] = [-1000.0, 0.0]
    sums = sums_of(credit_of([made(log, [2, 2])], "forward"))
    assert sums.pairs.tolist() == [2, 1]
    assert sums.gain(2) == pytest.approx(-2000)
    assert sums.gain(1) == pytest.approx(-1000)


def test_the_longest_lag_up_to_one() -> None:
    sums = matrix([[[1.0, NAN, 1.0, 1.0, 1.0]]], [4])
    assert sums.pairs.tolist() == [1, 1, 0, 1]
    assert [sums.judged_lag(lag, 0.1) for lag in (1, 2, 3, 4)] == [1, 2, 2, 4]
    assert sums.longest == 4
    one = matrix([[[1.0]]], [0])
    assert (one.longest, one.judged_lag(1, 0.1), one.pairs.size) == (0, 0, 0)


def test_a_lag_that_is_not_there_has_no_gain() -> None:
    sums = matrix([[[1.0, NAN, 2.0]]], [2])
    assert math.isnan(sums.gain(1))
    assert math.isnan(sums.gain_from_first(1))
    assert sums.gain(2) == pytest.approx(math.log(0.5))
    assert math.isnan(sums.gain_from_first(2))  # nothing is known at lag 1
    assert [sums.covered(share) for share in (0.1, 1.0)] == [2, 2]


def test_weights_are_told_from_the_shortest_lag_that_there_is() -> None:
    assert matrix([[[4.0, NAN, 2.0]]], [2]).covered(1.0) == 2  # lag 1, of which nothing is known, would weigh it a half


def test_losses_are_weighed_at_lag_one_and_samples_at_the_lag() -> None:
    sums = matrix([[[1.0, 3.0, 9.0], [1.0, 1.0, 9.0]], [[3.0, 3.0, 9.0], [3.0, 1.0, 9.0]]], [2, 2])
    losses, samples = sums.participation(2)
    assert losses == pytest.approx((6 + 2) ** 2 / (36 + 4) / 2)
    assert samples == pytest.approx((2 + 6) ** 2 / (4 + 36) / 2)
    assert sums.participation(0)[1] == pytest.approx(1.0)  # at lag 1 at least: 4 and 4
    assert all(math.isnan(one) for one in matrix(np.empty((1, 0, 3)), []).participation(1))


def test_however_many_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(0.1, 1.0, (3, 4, 9))
    whole = matrix(rows, [8] * 4)
    monkeypatch.setattr("rnngraph.diagnosis.credit._GAINS", 25)  # two lags at a time
    parts = matrix(rows, [8] * 4)
    for name in ("arrived", "started", "first", "pairs", "common"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
