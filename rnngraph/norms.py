"""Norms that a person will read: accumulated in float64, with a scale where squares would leave its range.

`np.linalg.norm` of a float32 `1e-25` is exactly 0; here it is 1e-25.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

# Sums of squares inside these bounds have lost nothing that matters to underflow or overflow.
SMALLEST, LARGEST = 1e-280, 1e300
_LONG = 1 << 14  # elements that are added up in one go
_min, _max = np.minimum.reduce, np.maximum.reduce  # without the wrappers, which cost more on short columns


def row_norms(rows: Array) -> Floats:
    """Compute Euclidean norms over the last axis; NaN where a row holds NaN or infinity."""
    wide = rows if rows.dtype == np.float64 else rows.astype(np.float64)
    squares = _squares(wide)
    norms = np.asarray(np.sqrt(squares))
    if squares.size and not (_min(squares, None) > SMALLEST and _max(squares, None) < LARGEST):
        outside = ~((squares > SMALLEST) & (squares < LARGEST))
        far = wide[outside]
        norms[outside] = _scaled_norms(far) if far.any() else 0
    return norms


def _squares(rows: Array) -> Floats:
    """Add up squares over the last axis, in parts where it is long: one long sum rounds as its threads divide it."""
    if rows.shape[-1] <= _LONG:
        return np.asarray(np.vecdot(rows, rows))
    parts = np.array_split(rows, -(-rows.shape[-1] // _LONG), axis=-1)
    return np.asarray(np.sum([np.vecdot(part, part) for part in parts], axis=0))


def norm(array: Array) -> float:
    """Compute the norm over all elements."""
    flat = array.reshape(-1)
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
