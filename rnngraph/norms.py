"""Norms that a person will read: accumulated in float64, with a scale where squares would leave its range.

`np.linalg.norm` of a float32 `1e-25` is exactly 0; here it is 1e-25.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

# Sums of squares inside these bounds have lost nothing that matters to underflow or overflow.
SMALLEST, LARGEST = 1e-280, 1e300
_BOUNDS = np.array(SMALLEST), np.array(LARGEST)  # NumPy takes longer to convert a number than to compare a column
_LONG = 1 << 14  # elements that are added up in one go


def row_norms(rows: Array) -> Floats:
    """Compute Euclidean norms over the last axis; NaN where a row holds NaN or infinity."""
    wide = rows if rows.dtype == np.float64 else rows.astype(np.float64)
    norms: Floats = _roots(_squares(wide)[None], [wide])[0]
    return norms


def step_norms(columns: Sequence[Array]) -> Floats:
    """Compute the norm of every step of some columns of one shape, (steps, ...) each, together: (columns, steps)."""
    flat = [one.reshape(len(one), -1) for one in columns]
    wide = [one if one.dtype == np.float64 else one.astype(np.float64) for one in flat]
    return _roots(np.array([_squares(one) for one in wide]), wide)


def _roots(squares: Floats, columns: Sequence[Floats]) -> Floats:
    """Take roots of sums of squares, (columns, ...); where they have left the range the rows are looked at again."""
    norms = np.sqrt(squares)
    outside = ~((squares > _BOUNDS[0]) & (squares < _BOUNDS[1]))
    if np.count_nonzero(outside):
        for own, column, far in zip(norms, columns, outside, strict=True):
            if np.count_nonzero(far) and np.count_nonzero(rows := column[far]):
                own[far] = _scaled_norms(rows)
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
