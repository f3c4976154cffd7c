"""The rules of NumPy's functions that compute: reductions, joins, choices.

Each takes what NumPy's function takes, with recording arrays in it. `products` has the products, and `moves` has those
that only move elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff import along, elementwise, ops
from rnngraph.autodiff.node import Op
from rnngraph.errors import InputError
from rnngraph.numpy.dispatch import lifted, operated, stacked
from rnngraph.numpy.tables import rule
from rnngraph.numpy.values import Handle, recorded_in, value_of, wrapped


def _reduction(op: Op, first: int | None = None) -> Any:
    """Reduce over axes, which ops count from the end; over the `first` one where none is named."""

    def reduced(x: Any, axis: Any = first, dtype: Any = None, keepdims: Any = False) -> Any:
        found = operated(op, [x], {"axis": x._axes(axis), "keepdims": keepdims is True})
        return found if dtype is None else found.astype(dtype)

    return reduced


rule(np.sum)(_reduction(ops.SUM))
rule(np.mean)(_reduction(ops.MEAN))
rule(np.max, np.amax)(_reduction(along.MAX))
rule(np.min, np.amin)(_reduction(along.MIN))
rule(np.add.reduce)(_reduction(ops.SUM, 0))
rule(np.maximum.reduce)(_reduction(along.MAX, 0))
rule(np.minimum.reduce)(_reduction(along.MIN, 0))


def _choice(op: Op) -> Any:
    """Choose between two; of a tie a constant takes the gradient, as in ReLU, and of two recorded arrays each half."""

    def chosen(*two: Any) -> Any:
        free = [getattr(one, "requires", False) for one in two]
        return operated(op, two, {"share": 0.5 if free[0] == free[1] else float(not free[0])})

    return chosen


rule(np.maximum, np.fmax)(_choice(elementwise.MAXIMUM))
rule(np.minimum, np.fmin)(_choice(elementwise.MINIMUM))


@rule(np.power, np.float_power)
def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, int | float | np.integer):
        return operated(ops.POWER, [base], {"exponent": exponent})
    return operated(elementwise.RAISE, [base, exponent])


@rule(np.average)
def _average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return np.mean(x, axis=axis)
    shape = np.shape(value_of(x))
    if np.ndim(value_of(weights)) < len(shape):  # one a place along the axis
        weights = np.expand_dims(weights, [k for k in range(len(shape)) if k != axis % len(shape)])
    return np.sum(x * weights, axis=axis) / np.sum(np.broadcast_to(weights, shape), axis=axis)


@rule(np.median)
def _median(x: Any, axis: Any = None) -> Any:
    return _quantile(x, 0.5, axis)


@rule(np.percentile)
def _percentile(x: Any, q: Any, axis: Any = None) -> Any:
    return _quantile(x, np.asarray(q) / 100, axis)


@rule(np.quantile)
def _quantile(x: Any, q: Any, axis: Any = None) -> Any:
    ordered = np.moveaxis(np.sort(x, axis), 0 if axis is None else axis, 0)
    at = np.asarray(q) * (len(ordered) - 1)
    below = np.floor(at).astype(int)
    share = (at - below).reshape(at.shape + (1,) * (ordered.ndim - 1))
    return ordered[below] * (1 - share) + ordered[np.minimum(below + 1, len(ordered) - 1)] * share


@rule(np.cumsum)
def _cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    return operated(along.CUMSUM, [x], {"axis": axis - x.ndim if axis >= 0 else axis})


rule(np.add.accumulate)(lambda x, axis=0, dtype=None: _cumsum(x, axis))


@rule(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        picked = [slice(None)] * (axis % x.ndim)
        x = x[(*picked, slice(1, None))] - x[(*picked, slice(None, -1))]
    return x


@rule(np.var)
def _var(x: Any, axis: Any = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    total = np.sum(np.square(x - np.mean(x, axis=axis, keepdims=True)), axis=axis, keepdims=keepdims)
    return total / (x.size // total.size - ddof)


@rule(np.std)
def _std(x: Any, axis: Any = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return np.sqrt(_var(x, axis, ddof=ddof, keepdims=keepdims))


@rule(np.ptp)
def _ptp(x: Any, axis: Any = None) -> Any:
    return np.max(x, axis=axis) - np.min(x, axis=axis)


@rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 - NumPy's name
    plain = ord is None or (ord == 2 and (x.ndim == 1 or isinstance(axis, int))) or ord == "fro"
    if not plain:
        raise InputError(f"np.linalg.norm of order {ord!r} is not differentiated here; use the default, √Σx².")
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


@rule(np.trace)
def _trace(x: Any, *given: Any, **options: Any) -> Any:
    return np.sum(np.diagonal(x, *given, **options), axis=-1)


@rule(np.where)
def _where(mask: Any, *two: Any) -> Any:
    if not two:
        return np.where(value_of(mask))
    if recorded_in(list(two)) is None:
        return wrapped(np.where(value_of(mask), *value_of(two)))
    choice = np.asarray(value_of(mask), dtype=bool)
    return operated(ops.WHERE, two, {"mask": choice})


@rule(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    low, high = a_min if min is None else min, a_max if max is None else max
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@rule(np.concatenate)
def _concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    if axis is None:
        arrays, axis = [np.ravel(stacked(one)) for one in arrays], 0
    return operated(ops.CONCATENATE, arrays, {"axis": axis - np.ndim(value_of(arrays[0])) if axis >= 0 else axis})


@rule(np.stack)
def _stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    return operated(ops.STACK, arrays, {"axis": axis - np.ndim(value_of(arrays[0])) - 1 if axis >= 0 else axis})


@rule(np.hstack)
def _hstack(arrays: Any) -> Any:
    some = [np.atleast_1d(stacked(one)) for one in arrays]
    return np.concatenate(some, axis=int(some[0].ndim > 1))


@rule(np.vstack, getattr(np, "row_stack", np.vstack))
def _vstack(arrays: Any) -> Any:
    return np.concatenate([np.atleast_2d(stacked(one)) for one in arrays])


@rule(np.column_stack)
def _column_stack(arrays: Any) -> Any:
    some = [stacked(one) for one in arrays]
    return np.concatenate([one.reshape(-1, 1) if one.ndim == 1 else one for one in some], axis=1)


@rule(np.dstack)
def _dstack(arrays: Any) -> Any:
    return np.concatenate([np.atleast_3d(stacked(one)) for one in arrays], axis=2)


@rule(np.append)
def _append(a: Any, b: Any, axis: Any = None) -> Any:
    return np.concatenate([np.ravel(a), np.ravel(b)] if axis is None else [a, b], axis=axis or 0)


@rule(np.add.at)
def _add_at(target: Any, index: Any, given: Any) -> None:
    source = recorded_in([target, given])
    if source is None or not isinstance(target, Handle):
        raise InputError(
            "np.add.at into a plain array would lose a gradient; make it with np.zeros of the same module."
        )
    where = index if isinstance(index, tuple) else (index,)
    shape = np.broadcast_to(False, target.shape)[value_of(index)].shape
    part: Any = np.broadcast_to(lifted(given, source), shape)
    base = lifted(target, source)
    target[...] = source.tape.record(along.ADD_AT, (base.id, part.id), {"index": value_of(where)})


@rule(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, **options: Any) -> Any:
    return np.where(np.isfinite(x.value), x, np.nan_to_num(x.value, **options))


@rule(np.pad)
def _pad(x: Any, width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode != "constant":
        raise InputError(f"np.pad with mode={mode!r} is not differentiated here; use np.concatenate.")
    made = wrapped(np.pad(np.zeros(x.shape, x.dtype), width, constant_values=constant_values))
    before = np.broadcast_to(width, (x.ndim, 2))[:, 0].tolist()
    made[tuple([slice(first, first + size) for first, size in zip(before, x.shape, strict=True)])] = x
    return made


def softmax(x: Any, axis: Any = None) -> Any:
    """Give exponentials that sum to 1, over all axes or the named ones, as scipy.special does."""
    shifted = np.exp(x - np.max(x.value, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Give the logarithm of a sum of exponentials, as scipy.special does."""
    largest = np.max(x.value, axis=axis, keepdims=True)
    found = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return found if keepdims else np.squeeze(found, axis=axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """Give the logarithm of a softmax, as scipy.special does."""
    return x - logsumexp(x, axis=axis, keepdims=True)
