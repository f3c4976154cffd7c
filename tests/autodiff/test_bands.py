"""Numbers in bands of 2^512, against exact fractions: rows that meet in several bands, and rows that change theirs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rnngraph.autodiff.banding import Groups, settled
from rnngraph.autodiff.block.carry import BAND, LOG_BAND, Carry

Array = Any
Exact = list[list[list[Fraction]]]  # rows, samples, units
ROWS, SAMPLES, UNITS = 6, 2, 3


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """The logarithm of zero is no accident here, as in every walk."""
    with np.errstate(all="ignore"):
        yield


def exactly(rows: Array, band: Array) -> Exact:
    """The numbers for which rows (count, N, units) in bands (count, N) stand."""
    bands = np.broadcast_to(np.asarray(band), rows.shape[:2])
    scales = [[Fraction(2) ** (BAND * int(band)) for band in row] for row in bands]
    return [
        [[Fraction(float(one)) * scales[r][n] for one in rows[r, n]] for n in range(SAMPLES)] for r in range(len(rows))
    ]


def log_norm(numbers: list[Fraction]) -> float:
    """ln of the norm, by fractions: 2^-4000 is no float."""
    square = sum((one * one for one in numbers), start=Fraction(0))
    if not square:
        return -math.inf
    bits = square.numerator.bit_length() - square.denominator.bit_length()
    return (math.log(float(square / Fraction(2) ** bits)) + bits * math.log(2)) / 2


def logs(exact: Exact) -> Array:
    return np.array([[log_norm(numbers) for numbers in row] for row in exact])


@pytest.mark.parametrize("seed", range(12))
def test_rows_that_enter_in_any_band_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    carry = Carry.empty(ROWS, SAMPLES, [UNITS, UNITS])
    for state in carry.states:
        state[...] = np.nan  # rows outside the run hold anything
    expected = [[[[Fraction(0)] * UNITS for _ in range(SAMPLES)] for _ in range(ROWS)] for _ in range(2)]
    for _ in range(8):
        low = int(rng.integers(ROWS))
        count, kind = int(rng.integers(1, ROWS - low + 1)), int(rng.integers(2))
        rows = rng.uniform(1, 2, (count, SAMPLES, UNITS)) * (rng.uniform(size=(count, SAMPLES, 1)) < 0.8)
        band: Any = int(rng.integers(-3, 2)) if rng.uniform() < 0.7 else rng.integers(-3, 2, (count, SAMPLES))
        given = rows.copy()
        carry.enter(low, rows, band=band, kind=kind)
        np.testing.assert_array_equal(rows, given)
        for r, row in enumerate(exactly(rows, band), low):
            for n, numbers in enumerate(row):
                mine = expected[kind][r][n]
                expected[kind][r][n] = [one + other for one, other in zip(mine, numbers, strict=True)]
        run = slice(carry.low, carry.high)
        for known in (carry.measure(), carry.measure()):  # the second time, rows are in the bands of their norms
            both = [logs(one)[run] for one in expected]
            for found, wanted in zip(known, both, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("band", [-9, -1, 1, 9])
def test_zeros_that_enter_take_no_row_out_of_its_band(band: int) -> None:
    carry = Carry.empty(1, 1, [2])
    carry.enter(0, np.array([[[3.0, 4.0]]]), band=-5)
    carry.enter(0, np.zeros((1, 1, 2)), band=band)
    np.testing.assert_allclose(carry.measure()[0], math.log(5) - 5 * LOG_BAND, rtol=1e-14)
    carry = Carry.empty(1, 1, [2])
    carry.enter(0, np.zeros((1, 1, 2)))
    carry.enter(0, np.array([[[3.0, 4.0]]]), band=band)
    np.testing.assert_allclose(carry.measure()[0], math.log(5) + band * LOG_BAND, rtol=1e-14)


def test_a_run_that_ended_leaves_no_band_to_the_next() -> None:
    carry = Carry.empty(3, 1, [1])
    carry.enter(0, np.ones((3, 1, 1)), band=-2)
    carry.low = carry.high = 0  # as behind a cut
    carry.enter(2, np.ones((1, 1, 1)))
    carry.enter(0, np.ones((1, 1, 1)))
    np.testing.assert_array_equal(np.exp(carry.measure()[0][:, 0]), [1, 0, 1])


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("seed", range(6))
def test_what_reached_a_state_in_several_bands(seed: int, axis: int | None) -> None:
    rng = np.random.default_rng(seed)
    expected = [[[Fraction(0)] * UNITS for _ in range(SAMPLES)] for _ in range(ROWS)]
    groups: Groups = {}
    for band in rng.choice(np.arange(-4, 3), size=3, replace=False).tolist():
        low = int(rng.integers(ROWS))
        rows = rng.uniform(1, 2, (int(rng.integers(1, ROWS - low + 1)), SAMPLES, UNITS))
        felt = rng.uniform(size=(len(rows), SAMPLES, 1)) < 0.7
        rows *= felt * 2.0 ** rng.integers(-400, 400, felt.shape)
        groups[band] = low, _laid(rows, axis)
        for r, row in enumerate(exactly(rows, band), low):
            for n, numbers in enumerate(row):
                expected[r][n] = [one + other for one, other in zip(expected[r][n], numbers, strict=True)]
    found, first, log = settled(groups, axis)
    wanted = logs(expected)
    if axis is None:
        wanted = np.array([[log_norm([one for numbers in row for one in numbers])] for row in expected])
    whole = np.full(wanted.shape, -np.inf)
    whole[first : first + len(log)] = log
    np.testing.assert_allclose(whole, wanted, rtol=1e-13, atol=1e-12)
    _hold_the_sum(found, expected, axis)


def _laid(rows: Array, axis: int | None) -> Array:
    if axis is None:
        return rows.reshape(len(rows), -1)
    return rows if axis == 0 else rows.swapaxes(1, 2)


def _hold_the_sum(groups: Groups, expected: Exact, axis: int | None) -> None:
    """Add the bands up again, exactly; what is left out is small beside the largest of its row."""
    total = [[[Fraction(0)] * UNITS for _ in range(SAMPLES)] for _ in range(ROWS)]
    for band, (low, value) in groups.items():
        rows = value.swapaxes(1, 2) if axis == 1 else value.reshape(len(value), SAMPLES, UNITS)
        for r, row in enumerate(exactly(rows, band), low):
            for n, numbers in enumerate(row):
                total[r][n] = [one + other for one, other in zip(total[r][n], numbers, strict=True)]
    for one, other in zip(total, expected, strict=True):
        sizes = [max(map(abs, numbers)) for numbers in other]
        for n, (found, wanted) in enumerate(zip(one, other, strict=True)):
            scale = max(sizes) if axis is None else sizes[n]
            for a, b in zip(found, wanted, strict=True):
                assert abs(a - b) <= scale * Fraction(1, 10**15)
