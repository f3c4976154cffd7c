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
_SMALLEST, _LARGEST = 1e-280, 1e300
_LONG = 1 << 14  # elements that are added up in one go
# Factors of so many bytes stay in cache; so many rows make a matrix product efficient.
_CHUNK_BYTES, _CHUNK_ROWS = 250_000, 256
_CACHED = 32_768  # elements of a product that stays in cache
_FIRST = np.array([0])


def row_norms(rows: Array) -> Floats:
    """Compute Euclidean norms over the last axis; NaN where a row holds NaN or infinity."""
    wide = rows if rows.dtype == np.float64 else rows.astype(np.float64)
    squares = _squares(wide)
    norms = np.asarray(np.sqrt(squares))
    if squares.size and not (squares.min() > _SMALLEST and squares.max() < _LARGEST):
        outside = ~((squares > _SMALLEST) & (squares < _LARGEST))
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
        if _SMALLEST < square < _LARGEST:
            return math.sqrt(square)
    return float(row_norms(flat[None])[0])


def _scaled_norms(rows: Array) -> Floats:
    largest = np.abs(rows).max(axis=-1)
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1]
    scaled = np.ldexp(rows, -exponent[..., None])
    norms = np.ldexp(np.sqrt(np.einsum("...h,...h->...", scaled, scaled)), exponent)
    return np.asarray(np.where(np.isfinite(largest), norms, np.nan))


def outer_series(lefts: Sequence[Array] | Array, rights: Sequence[Array] | Array) -> tuple[Array, Floats]:
    """Sum the outer products `leftᵀ right` of many steps, and give the norm of each.

    Large products: a few steps at a time, so that the factors are in cache for both, a product over all their rows for
    the sum and the Gram form for the norms. Small products are formed one by one.

    Args:
        lefts: (rows, in) a step.
        rights: (rows, out) a step.

    Returns:
        the sum (in, out), and the norms (steps,).
    """
    rows, inner, outer = len(lefts[0]), lefts[0].shape[1], rights[0].shape[1]
    if rows > 1 and inner * outer <= _CACHED:
        return _formed(lefts, rights)
    size = max(1, _CHUNK_BYTES // max(lefts[0].nbytes, rights[0].nbytes), _CHUNK_ROWS // rows)
    norms, total = np.empty(len(lefts)), None
    for start in range(0, len(lefts), size):
        chunk = slice(start, start + size)
        left, right = _joined(lefts[chunk]), _joined(rights[chunk])
        product = left.T.dot(right)
        if total is None:
            total = product
        else:
            total += product
        norms[chunk] = outer_norms(left.reshape(-1, rows, inner), right.reshape(-1, rows, outer))
    return np.asarray(total), norms


def _formed(lefts: Sequence[Array] | Array, rights: Sequence[Array] | Array) -> tuple[Array, Floats]:
    """Form every product after all: a small one stays in cache, where its norm and its sum are nearly free."""
    product = np.empty((lefts[0].shape[1], rights[0].shape[1]), np.result_type(lefts[0], rights[0]))
    total, norms, flat = np.zeros_like(product), np.empty(len(lefts)), product.reshape(-1)
    double = product.dtype == np.float64
    for k, (left, right) in enumerate(zip(lefts, rights, strict=True)):
        np.dot(left.T, right, out=product)
        wide = flat if double else flat.astype(np.float64)
        norms[k] = wide.dot(wide)
        total += product
    outside = np.flatnonzero(~((norms > _SMALLEST) & (norms < _LARGEST)))
    norms = np.sqrt(norms)
    if outside.size:
        norms[outside] = [float(_direct(lefts[k][None], rights[k][None], _FIRST)[0]) for k in outside.tolist()]
    return total, norms


def _joined(factors: Sequence[Array] | Array) -> Array:
    return factors.reshape(-1, factors.shape[-1]) if isinstance(factors, np.ndarray) else np.concatenate(factors)


def outer_norms(left: Array, right: Array) -> Floats:
    """Compute `‖left_kᵀ right_k‖_F` for every k, without forming the products where that is cheaper.

    For one row a step the norm is the product of two norms; otherwise `‖LᵀR‖² = Σ (LLᵀ)∘(RRᵀ)`, the Gram form,
    unless it cancels, leaves the range of a float, or costs more than the product itself.

    Args:
        left: (steps, rows, in).
        right: (steps, rows, out).
    """
    rows, width = left.shape[1], left.shape[2] + right.shape[2]
    if rows == 1:
        return np.asarray(row_norms(left[:, 0]) * row_norms(right[:, 0]))
    if rows * width >= left.shape[2] * right.shape[2]:
        return _direct(left, right, np.arange(len(left)))
    wide_left, wide_right = left.astype(np.float64, copy=False), right.astype(np.float64, copy=False)
    terms = wide_left @ wide_left.swapaxes(1, 2)
    terms *= wide_right @ wide_right.swapaxes(1, 2)
    terms = terms.reshape(len(terms), -1)
    squares = terms.sum(axis=1)
    norms: Floats = np.sqrt(np.maximum(squares, 0))
    size = np.abs(terms, out=terms).sum(axis=1)
    weak = ~((squares > 1e-3 * size) & (squares > _SMALLEST) & (squares < _LARGEST))
    if weak.any():
        norms[weak] = _direct(left, right, np.flatnonzero(weak))
    return norms


def _direct(left: Array, right: Array, steps: Array) -> Floats:
    norms = np.empty(len(steps))
    for place, k in enumerate(steps):
        one, other = left[k].astype(np.float64, copy=False), right[k].astype(np.float64, copy=False)
        scales = [float(np.abs(factor).max()) for factor in (one, other)]
        if not all(np.isfinite(scale) for scale in scales):
            norms[place] = np.nan
        elif min(scales) == 0:
            norms[place] = 0.0
        else:
            exponents = [int(np.frexp(scale)[1]) for scale in scales]
            product = np.ldexp(one, -exponents[0]).T @ np.ldexp(other, -exponents[1])
            norms[place] = np.ldexp(norm(product), sum(exponents))
    return norms
