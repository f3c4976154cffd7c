"""The rules of NumPy's functions that only move elements: shapes, axes, splits, and one rule for all the others."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff import along, ops
from rnngraph.autodiff.contribution import Array
from rnngraph.numpy.dispatch import copied, stacked
from rnngraph.numpy.tables import rule
from rnngraph.numpy.values import value_of, wrapped


def _reshaped(x: Any, shape: Any) -> Any:
    x = stacked(x)
    return x.tape.record(ops.RESHAPE, (x.id,), {"shape": shape if isinstance(shape, tuple) else (shape,)})


@rule(np.reshape)
def _reshape(x: Any, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    wanted = newshape if shape is None else shape
    wanted = tuple(wanted) if isinstance(wanted, list) else wanted
    return _reshaped(x, wanted) if order == "C" else _by_numbers(np.reshape)(x, wanted, order=order)


@rule(np.ravel)
def _ravel(x: Any, order: str = "C") -> Any:
    return _reshape(x, (-1,), order)


@rule(np.squeeze)
def _squeeze(x: Any, axis: Any = None) -> Any:
    return _reshaped(x, np.squeeze(x.value, axis=axis).shape)


@rule(np.expand_dims)
def _expand_dims(x: Any, axis: Any) -> Any:
    return _reshaped(x, np.expand_dims(x.value, axis).shape)


@rule(np.atleast_1d)
def _atleast_1d(x: Any) -> Any:
    return x if x.ndim else _reshaped(x, (1,))


@rule(np.atleast_2d)
def _atleast_2d(x: Any) -> Any:
    return x if x.ndim > 1 else _reshaped(x, (1, -1))


@rule(np.atleast_3d)
def _atleast_3d(x: Any) -> Any:
    return _reshaped(x, np.atleast_3d(x.value).shape)


def _permuted(x: Any, order: Any) -> Any:
    """Permute axes; `order` gives the new order of an array whose shape numbers its axes."""
    x = stacked(x)
    axes = tuple([int(one) for one in order])
    return x.tape.record(ops.TRANSPOSE, (x.id,), {"axes": axes})


def _numbered(axes: int) -> Array:
    return np.broadcast_to(0, range(axes))


@rule(np.transpose)
def _transpose(x: Any, axes: Any = None) -> Any:
    x = stacked(x)
    return _permuted(x, np.transpose(_numbered(x.ndim), axes).shape)


@rule(np.swapaxes)
def _swapaxes(x: Any, a: int, b: int) -> Any:
    return _permuted(x, np.swapaxes(_numbered(x.ndim), a, b).shape)


@rule(np.moveaxis)
def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    return _permuted(x, np.moveaxis(_numbered(x.ndim), source, destination).shape)


@rule(np.rollaxis)
def _rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    return _permuted(x, np.rollaxis(_numbered(x.ndim), axis, start).shape)


@rule(np.broadcast_to)
def _broadcast_to(x: Any, shape: Any) -> Any:
    shape = tuple(shape) if np.ndim(shape) else (shape,)
    return x if x.shape == shape else x.tape.record(along.BROADCAST, (x.id,), {"shape": shape})


def _cut(x: Any, parts: list[Array], axis: int) -> list[Any]:
    ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(first, last))] for first, last in pairwise(ends)]


@rule(np.split)
def _split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    return _cut(x, np.split(np.arange(x.shape[axis]), sections), axis)


@rule(np.array_split)
def _array_split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    return _cut(x, np.array_split(np.arange(x.shape[axis]), sections), axis)


@rule(np.hsplit)
def _hsplit(x: Any, sections: Any) -> Any:
    return _split(x, sections, int(x.ndim > 1))


@rule(np.vsplit)
def _vsplit(x: Any, sections: Any) -> Any:
    return _split(x, sections, 0)


@rule(np.copy, np.positive, np.conjugate, np.ascontiguousarray, np.asfortranarray, np.asarray, np.asanyarray, np.array)
def _copy(x: Any, *_: Any, **__: Any) -> Any:
    return copied(stacked(x))


@rule(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return x * np.tril(np.ones(x.shape, x.dtype), k)


@rule(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return x * np.triu(np.ones(x.shape, x.dtype), k)


def _filled(x: Any, dtype: Any, shape: Any, what: Any) -> Any:
    like = np.empty(0, x.dtype if dtype is None else dtype)
    return wrapped(np.full(x.shape if shape is None else shape, what, like.dtype))


@rule(np.zeros_like, np.empty_like)
def _zeros_like(x: Any, dtype: Any = None, order: Any = None, subok: Any = None, shape: Any = None) -> Any:
    return _filled(x, dtype, shape, 0)


@rule(np.ones_like)
def _ones_like(x: Any, dtype: Any = None, order: Any = None, subok: Any = None, shape: Any = None) -> Any:
    return _filled(x, dtype, shape, 1)


@rule(np.full_like)
def _full_like(x: Any, what: Any, dtype: Any = None, order: Any = None, subok: Any = None, shape: Any = None) -> Any:
    made = _filled(x, dtype, shape, 0)
    made[...] = what
    return made


@rule(np.broadcast_arrays)
def _broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*[np.shape(value_of(one)) for one in arrays])
    return tuple([np.broadcast_to(one, shape) for one in arrays])


def _by_numbers(function: Any) -> Any:
    """Let a function move the numbers of the elements, and read there."""

    def moved(x: Any, *given: Any, **options: Any) -> Any:
        x = stacked(x)
        return _reshaped(x, (-1,))[function(np.arange(x.size).reshape(x.shape), *value_of(given), **value_of(options))]

    return moved


MOVERS = (
    np.tile, np.repeat, np.roll, np.flip, np.fliplr, np.flipud, np.rot90, np.diagonal, np.delete, np.resize, np.take,
    np.take_along_axis,
)  # fmt: skip


@rule(np.diag)
def _diag(x: Any, k: int = 0) -> Any:
    if x.ndim > 1:
        return _by_numbers(np.diag)(x, k)
    size = len(x) + abs(k)
    rows = np.arange(len(x)) + max(-k, 0)
    made = _filled(x, None, (size, size), 0)
    made[rows, np.arange(len(x)) + max(k, 0)] = x
    return made


for _mover in MOVERS:
    rule(_mover)(_by_numbers(_mover))


@rule(np.sort)
def _sort(x: Any, axis: Any = -1, **_: Any) -> Any:
    x = _ravel(x) if axis is None else x
    return _by_numbers(np.take_along_axis)(x, np.argsort(x.value, -1 if axis is None else axis), axis)


@rule(np.diagflat)
def _diagflat(x: Any, k: int = 0) -> Any:
    return _diag(_ravel(x), k)


@rule(np.extract)
def _extract(mask: Any, x: Any) -> Any:
    return _ravel(x)[np.flatnonzero(value_of(mask))]
