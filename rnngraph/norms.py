"""Norms that a person will read: accumulated in float64, with a scale where squares would leave its range.

`np.linalg.norm` of a float32 `1e-25` is exactly 0; here it is 1e-25.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

# Sums of squares inside these bounds have lost nothing that matters to underflow or overflow.
SMALLEST, LARGEST = 1e-280, 1e300
_LONG = 1 << 14  # elements that are added up in one go


def row_norms(rows: Array) -> Floats:
    """Compute Euclidean norms over the last axis; NaN where a row holds NaN or infinity."""
    wide = rows if rows.dtype == np.float64 else rows.astype(np.float64)
    squares = np.asarray(_squares(wide))
    return _roots(squares, lambda outside: wide[outside])


def step_norms(columns: Sequence[Array]) -> Floats:
    """Compute the norm of every step of some columns of one shape, (steps, ...) each, together: (columns, steps)."""
    flat = [one.reshape(len(one), -1) for one in columns]
    wide = [one if one.dtype == np.float64 else one.astype(np.float64) for one in flat]
    squares = np.array([_squares(one) for one in wide])

    def chosen(outside: Array) -> Floats:
        return np.concatenate([one[rows] for one, rows in zip(wide, outside, strict=True) if np.count_nonzero(rows)])

    return _roots(squares, chosen)


def _roots(squares: Floats, rows: Callable[[Array], Floats]) -> Floats:
    """Take roots; those of squares that have left the range are taken again, with a scale, of the `rows` at a mask."""
    norms = np.asarray(np.sqrt(squares))
    fine = (squares > SMALLEST) & (squares < LARGEST)
    if np.count_nonzero(fine) < norms.size:
        outside = ~fine
        far = rows(outside)
        if np.count_nonzero(far):
            norms[outside] = _scaled_norms(far)
    return norms


def all_finite(array: Array) -> bool:
    """Say whether all numbers are finite: where a sum of their squares is, they are, and else they are counted."""
    return math.isfinite(np.vdot(array, array)) or bool(np.count_nonzero(np.isfinite(array)) == array.size)


def _squares(rows: Array) -> Floats:
    """Add up squares over the last axis, in parts where it is long: one long sum rounds as its threads divide it."""
    if rows.shape[-1] <= _LONG:
        return np.asarray(np.vecdot(rows, rows))
    parts = np.array_split(rows, -(-rows.shape[-1] // _LONG), axis=-1)
    return np.asarray(np.sum([np.vecdot(part, part) for part in parts], axis=0))


def norm(array: Array) -> float:
    """Compute the norm over all elements, of complex ones over both parts."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "c":
        flat = np.concatenate([flat.real, flat.imag])
    if flat.dtype == np.float64:
        square = float(flat.dot(flat))
        if SMALLEST < square < LARGEST:
            return math.sqrt(square)
    return float(row_norms(flat[None])[0])


def _scaled_norms(rows: Array) -> Floats:
    largest = np.abs(rows).max(axis=-1)
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1]
    scaled = np.ldexp(rows, -exponent[..., None])
    norms = np.ldexp(np.sqrt(np.einsum("...h,...h->...", scaled, scaled)), exponent)
    return np.asarray(np.where(np.isfinite(largest), norms, np.nan))
