"""The rules of NumPy's functions that only move elements: shapes, axes, splits, and one rule for all the others."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff import along, ops
from rnngraph.numpy.dispatch import copied, operated
from rnngraph.numpy.tables import RULES, rule, rules
from rnngraph.numpy.values import value_of, wrapped


def _reshaped(x: Any, shape: Any) -> Any:
    return operated(ops.RESHAPE, [x], {"shape": shape if isinstance(shape, tuple) else (shape,)})


@rule(np.reshape)
def _reshape(x: Any, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    wanted = newshape if shape is None else shape
    wanted = tuple(wanted) if isinstance(wanted, list) else wanted
    return _reshaped(x, wanted) if order == "C" else _by_numbers(np.reshape)(x, wanted, order=order)


@rule(np.ravel)
def _ravel(x: Any, order: str = "C") -> Any:
    return _reshaped(x, (-1,)) if order == "C" else _by_numbers(np.ravel)(x, order=order)


def _in_shape_of(function: Any) -> Any:
    """Give the shape that a function of NumPy gives."""

    def reshaped(x: Any, *given: Any, **options: Any) -> Any:
        shape = function(np.broadcast_to(0, x.shape), *given, **options).shape
        return x if shape == x.shape else _reshaped(x, shape)

    return reshaped


rules(_in_shape_of, np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d)


def _permuting(function: Any) -> Any:
    """Permute axes as a function of NumPy permutes those of an array whose shape numbers its axes."""

    def permuted(x: Any, *given: Any, **options: Any) -> Any:
        axes = function(np.broadcast_to(0, range(x.ndim)), *given, **options).shape
        return operated(ops.TRANSPOSE, [x], {"axes": axes})

    return permuted


rules(_permuting, np.transpose, np.matrix_transpose, np.swapaxes, np.moveaxis, np.rollaxis)


@rule(np.broadcast_to)
def _broadcast_to(x: Any, shape: Any) -> Any:
    shape = tuple(shape) if np.ndim(shape) else (shape,)
    return x if x.shape == shape else operated(along.BROADCAST, [x], {"shape": shape})


def _cutting(function: Any) -> Any:
    """Cut where a function of NumPy cuts the places along the axis."""

    def cut(x: Any, sections: Any, axis: int = 0) -> list[Any]:
        ends = np.cumsum([0, *map(len, function(np.arange(x.shape[axis]), sections))]).tolist()
        lead = (slice(None),) * (axis % x.ndim)
        return [x[(*lead, slice(first, last))] for first, last in pairwise(ends)]

    return cut


rules(_cutting, np.split, np.array_split)
rule(np.vsplit)(RULES[np.split])
rule(np.hsplit)(lambda x, sections: RULES[np.split](x, sections, int(x.ndim > 1)))


@rule(np.copy, np.positive, np.conjugate, np.ascontiguousarray, np.asfortranarray, np.asarray, np.asanyarray, np.array)
def _copy(x: Any, *_: Any, ndmin: int = 0, **__: Any) -> Any:
    return copied(x) if x.ndim >= ndmin else _reshaped(x, (1,) * (ndmin - x.ndim) + x.shape)


def _keeping(function: Any) -> Any:
    return lambda x, k=0: x * function(np.ones(x.shape, x.dtype), k)


rules(_keeping, np.tril, np.triu)


def _filled(x: Any, dtype: Any, shape: Any, what: Any) -> Any:
    like = np.empty(0, x.dtype if dtype is None else dtype)
    return wrapped(np.full(x.shape if shape is None else shape, what, like.dtype))


@rule(np.zeros_like, np.empty_like)
def _zeros_like(x: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
    return _filled(x, dtype, shape, 0)


@rule(np.ones_like)
def _ones_like(x: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
    return _filled(x, dtype, shape, 1)


@rule(np.full)
def _full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = None) -> Any:
    made = wrapped(np.zeros(shape, fill_value.dtype if dtype is None else dtype))
    made[...] = fill_value
    return made


@rule(np.full_like)
def _full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
    return _full(x.shape if shape is None else shape, fill_value, x.dtype if dtype is None else dtype)


@rule(np.broadcast_arrays)
def _broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*[np.shape(value_of(one)) for one in arrays])
    return tuple([np.broadcast_to(one, shape) for one in arrays])


def _by_numbers(function: Any) -> Any:
    """Let a function move the numbers of the elements, which lie in memory as these do, and read there."""

    def moved(x: Any, *given: Any, **options: Any) -> Any:
        numbers = np.empty_like(x.value, int)
        numbers[...] = np.arange(x.size).reshape(x.shape)
        return _reshaped(x, (-1,))[function(numbers, *value_of(given), **value_of(options))]

    return moved


@rule(np.diag)
def _diag(x: Any, k: int = 0) -> Any:
    if x.ndim > 1:
        return _by_numbers(np.diag)(x, k)
    size = len(x) + abs(k)
    rows = np.arange(len(x)) + max(-k, 0)
    made = _filled(x, None, (size, size), 0)
    made[rows, np.arange(len(x)) + max(k, 0)] = x
    return made


rules(
    _by_numbers, np.tile, np.repeat, np.roll, np.flip, np.fliplr, np.flipud, np.rot90, np.diagonal, np.delete,
    np.resize, np.take, np.take_along_axis, np.lib.stride_tricks.sliding_window_view,
)  # fmt: skip


@rule(np.sort)
def _sort(x: Any, axis: Any = -1, **_: Any) -> Any:
    x = _ravel(x) if axis is None else x
    return _by_numbers(np.take_along_axis)(x, np.argsort(x.value, -1 if axis is None else axis), axis)


rule(np.diagflat)(lambda x, k=0: _diag(_ravel(x), k))
rule(np.extract)(lambda mask, x: _ravel(x)[np.flatnonzero(value_of(mask))])
