"""Indices as NumPy takes them: kinds, and places within places.

In: indices and shapes. Out: places, told axis by axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.errors import InputError

Place: TypeAlias = tuple[int, ...]
ALL = slice(None)
_DOTS = type(Ellipsis)
INTEGERS = frozenset((int, np.int64, np.int32))
_BASIC = INTEGERS | {slice, type(None), _DOTS}  # such an index is a view


@dataclass(slots=True)
class Split:
    """An index in two: the axes that an integer picks, and what is left for the others; `whole` if that is all."""

    axes: tuple[int, ...]
    place: Place
    rest: tuple[slice, ...]
    whole: bool

    @property
    def index(self) -> tuple[int | slice, ...]:
        """The index that picks it."""
        found: list[int | slice] = list(self.rest)
        for axis, number in zip(self.axes, self.place, strict=True):
            found.insert(axis, number)
        return tuple(found)

    @property
    def is_all(self) -> bool:
        """Whether it picks the whole array."""
        return self.whole and not self.axes


def split(index: Any, shape: tuple[int, ...]) -> Split | None:
    """Tell integers from slices; None for an index that is made of anything else, or is out of range."""
    given = index if type(index) is tuple else (index,)
    axes: list[int] = []
    place: list[int] = []
    rest: list[slice] = []
    axis, missing, whole = 0, len(shape) - len(given) + (_DOTS in map(type, given)), True
    if missing < 0:
        return None
    for one in given:
        if one is Ellipsis:
            rest += [ALL] * missing
            axis, missing = axis + missing, 0
            continue
        if type(one) is slice:
            first, last, step = one.indices(shape[axis])
            full = (first, last, step) == (0, shape[axis], 1)
            rest.append(ALL if full else slice(first, max(first, last)) if step == 1 else one)
            whole = whole and full
        elif type(one) is int or isinstance(one, np.integer):
            if not -shape[axis] <= one < shape[axis]:
                return None
            axes.append(axis)
            place.append(int(one) % shape[axis])
        else:
            return None
        axis += 1
    return Split(tuple(axes), tuple(place), tuple(rest + [ALL] * missing), whole)


def within(outer: Split, inner: Split) -> Split | None:
    """Give the place in a part put at `outer` that is `inner` of the whole; None where that is not wholly in it."""
    axes, place, rest = list[int](), list[int](), list[slice]()
    for one, other in zip(outer.index, inner.index, strict=True):
        if isinstance(one, int):
            if one != other:
                return None
            continue
        (first, last), (start, stop) = _span(one), _span(other)
        if one.step or getattr(other, "step", None) or start < first or stop > last:
            return None
        if isinstance(other, int):
            axes.append(len(axes) + len(rest))
            place.append(other - first)
        else:
            rest.append(ALL if (first, last) == (start, stop) else slice(start - first, int(stop) - first))
    return Split(tuple(axes), tuple(place), tuple(rest), all(one == ALL for one in rest))


def behind(index: Any, inner: Split, shape: tuple[int, ...]) -> Split | None:
    """Give the place in an array of `shape` that is `inner` of what an index reads; None where none can be told."""
    outer = split(index, shape)
    if outer is None or any(one.step for one in (*outer.rest, *inner.rest)):
        return None
    found, rest = list[int | slice](), iter(inner.index)
    for one in outer.index:
        if isinstance(one, int):
            found.append(one)
            continue
        first, other = one.start or 0, next(rest)
        if isinstance(other, int):
            found.append(first + other)
        else:
            found.append(one if other == ALL else slice(first + other.start, first + other.stop))
    return split(tuple(found), shape)


def apart(one: Split, other: Split) -> bool:
    """Whether two places have nothing in common."""
    pairs = zip(map(_span, one.index), map(_span, other.index), strict=True)
    return any(last <= start or stop <= first for (first, last), (start, stop) in pairs)


def _span(one: int | slice) -> tuple[int, float]:
    """Give the first place along an axis, and the one behind the last; all places of a slice with a step."""
    if isinstance(one, int):
        return one, one + 1
    return (0, inf) if one.step or one.stop is None else (one.start, one.stop)


def is_covered(shape: Place, indices: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> bool:
    """Whether parts that are put into an array of this shape leave nothing of what was there before."""
    if sum(sizes) < prod(shape):
        return False
    seen = np.zeros(shape, bool)
    for index in indices:
        seen[index] = True
    return bool(seen.all())


def as_tuple(index: Any) -> tuple[Any, ...]:
    """Give an index as a tuple of its parts."""
    return index if type(index) is tuple else (index,)


def deeper(outer: Any, index: Any) -> tuple[Any, ...]:
    """Give the index that does the work of two, the first of integers alone."""
    return (*as_tuple(outer), *as_tuple(index))


def is_basic(index: Any) -> bool:
    """Tell an index whose result is a view."""
    return _BASIC.issuperset(map(type, index)) if type(index) is tuple else type(index) in _BASIC


def refuse_twice(index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Refuse an assignment that names an element twice: only the last one counts, and which is not followed."""
    if ops.is_basic(index) or any(np.asarray(one).dtype == bool for one in index if isinstance(one, np.ndarray | list)):
        return
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    if len(np.unique(places)) < places.size:
        raise InputError("an item assignment names an element twice; use np.add.at, or assign each element once.")
