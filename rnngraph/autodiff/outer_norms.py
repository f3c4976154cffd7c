"""Norms of outer products `leftᵀ right`, a product a step, without forming the products where that is cheaper.

In: factors (steps, rows, in) and (steps, rows, out). Out: norms (steps,), and sums over the steps.
For one row a step the norm is the product of two norms; otherwise `‖LᵀR‖² = Σ (LLᵀ)∘(RRᵀ)`, the Gram form, unless it
cancels, leaves the range of a float, or costs more than the product itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnngraph.autodiff.block.workspace import recycled
from rnngraph.norms import LARGEST, SMALLEST, Array, Floats, norm, row_norms

_CACHED = 28_000  # elements of products that stay in cache
_CANCELS = 1e-3  # of the size of its terms, below which a sum of them has lost digits that matter


class OuterNorms:
    """The norms of products that share factors; what is made of a factor is made once."""

    def __init__(self) -> None:
        """Know no factor."""
        self._known: list[tuple[Array, Callable[[Array], Array], Array]] = []

    def of(self, left: Array, right: Array) -> Floats:
        """Give the norm of every step's product."""
        if left.shape[1] == 1:
            return np.asarray(self.of_steps(left) * self.of_steps(right))
        if _is_formed(left, right):
            return _formed(left, right)[1]
        return self._by_gram(left, right)

    def summed(self, left: Array, right: Array) -> tuple[Array, Floats]:
        """Sum the products of all steps, (in, out), and give the norm of each."""
        if left.shape[1] > 1 and _is_formed(left, right):
            return _formed(left, right)
        return outer_sum(left, right), self.of(left, right)

    def of_steps(self, factor: Array) -> Floats:
        """Give the norm of every step of a factor."""
        return self._made(factor, _of_steps)

    def _by_gram(self, left: Array, right: Array) -> Floats:
        terms = (self._made(left, _gram) * self._made(right, _gram)).reshape(len(left), -1)
        squares = terms.sum(axis=1)
        norms: Floats = np.sqrt(np.maximum(squares, 0))
        weak = ~((squares > _CANCELS * np.abs(terms).sum(axis=1)) & (squares > SMALLEST) & (squares < LARGEST))
        if weak.any():
            norms[weak] = _direct(left, right, np.flatnonzero(weak))
        return norms

    def _made(self, factor: Array, make: Callable[[Array], Array]) -> Array:
        for known, how, made in self._known:
            if known is factor and how is make:
                return made
        found = make(factor)
        self._known.append((factor, make, found))
        return found


def _of_steps(factor: Array) -> Floats:
    return row_norms(factor.reshape(len(factor), -1))


def outer_sum(left: Array, right: Array) -> Array:
    """Sum the products of all steps, (in, out): one product over all rows."""
    rows, others = left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1])
    total = recycled((rows.shape[1], others.shape[1]), np.result_type(rows, others))
    return np.asarray(rows.T.dot(others, total))


def outer_norms(left: Array, right: Array) -> Floats:
    """Give the norm of every step's product of many steps, some of them at a time."""
    size = max(8 * _CACHED // left.shape[1] ** 2, 1)
    parts = [OuterNorms().of(left[k : k + size], right[k : k + size]) for k in range(0, len(left), size)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _is_formed(left: Array, right: Array) -> bool:
    rows, inner, outer = left.shape[1], left.shape[2], right.shape[2]
    return bool(inner * outer <= max(_CACHED, rows * (inner + outer)))


def _formed(left: Array, right: Array) -> tuple[Array, Floats]:
    """Form the products after all, as many at a time as stay in cache, where their norms and their sum are cheap."""
    dtype = np.result_type(left, right)
    left, right = left.astype(np.float64, copy=False), right.astype(np.float64, copy=False)
    (steps, _, inner), outer = left.shape, right.shape[2]
    size = min(max(_CACHED // (inner * outer), 1), steps)
    products, total = recycled((size, inner, outer), left.dtype), recycled((inner, outer), left.dtype)
    flat, squares = products.reshape(size, -1), np.empty(steps)
    total[...] = 0
    for start in range(0, steps, size):
        stop = min(start + size, steps)
        here = slice(stop - start)
        np.matmul(left[start:stop].swapaxes(1, 2), right[start:stop], products[here])
        np.vecdot(flat[here], flat[here], squares[start:stop])
        total += products[0] if size == 1 else products[here].sum(axis=0)
    norms = np.sqrt(squares)
    outside = np.flatnonzero(~((squares > SMALLEST) & (squares < LARGEST)))
    if outside.size:
        norms[outside] = _direct(left, right, outside)
    return total.astype(dtype, copy=False), norms


def _gram(factor: Array) -> Floats:
    """Multiply the rows of each step by one another, (steps, N, N).

    Of all rows at once BLAS would make half of it, which takes longer for as few rows as samples mostly are.
    """
    wide = factor.astype(np.float64, copy=False)
    steps, rows, _ = wide.shape
    half, found = rows // 2, np.empty((steps, rows, rows))
    np.matmul(wide[:, :half], wide.swapaxes(1, 2), found[:, :half])
    np.matmul(wide[:, half:], wide[:, half:].swapaxes(1, 2), found[:, half:, half:])
    found[:, half:, :half] = found[:, :half, half:].swapaxes(1, 2)
    return found


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
