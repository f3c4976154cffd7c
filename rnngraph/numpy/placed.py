"""What was put into a buffer, by place: `h[:, t] = …` keeps the tensor, and the whole is joined once, when it is read.

In: indices and shapes. Out: places, and the parts that are not joined yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf, prod
from typing import Any, TypeAlias

import numpy as np

Place: TypeAlias = tuple[int, ...]
ALL = slice(None)
_DOTS = type(Ellipsis)


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


class Parts:
    """Parts of one buffer, by the axes that their integers pick; the latest put wins where places overlap."""

    __slots__ = ("_spread", "across", "joined", "known", "stamp")

    def __init__(self) -> None:
        """Start with nothing put."""
        self.known: dict[tuple[int, ...], dict[Place, tuple[int, int, Split]]] = {}  # stamp, node, where; latest last
        self._spread: list[tuple[int, tuple[Any, ...], int]] = []  # over many places at once, not joined: index, node
        self.stamp = 0
        self.joined = 0  # all puts up to this stamp are in the whole
        self.across = 0  # the stamp of the last put over many places at once

    def put(self, at: Split, node_id: int) -> None:
        """Keep what was put at a whole place; what it hides need not be joined."""
        self.stamp += 1
        places = self.known.setdefault(at.axes, {})
        places.pop(at.place, None)
        places[at.place] = self.stamp, node_id, at

    def put_across(self, index: tuple[Any, ...], node_id: int) -> None:
        """Keep what was put over many places at once."""
        self.stamp += 1
        self.across = self.stamp
        self._spread.append((self.stamp, index, node_id))

    def join(self) -> tuple[tuple[Any, ...], list[int]]:
        """Give the indices and nodes of all that is not joined yet, and see it as joined."""
        waiting, self._spread = self._spread, []
        for places in self.known.values():
            late = takewhile(lambda one: one[0] > self.joined, reversed(places.values()))
            waiting += [(stamp, at.index, node) for stamp, node, at in late]
        waiting.sort(key=lambda one: one[0])
        self.joined = self.stamp
        return tuple([index for _, index, _ in waiting]), [node for _, _, node in waiting]

    def at(self, where: Split) -> tuple[int, Split] | None:
        """Find the part that holds an index: the node, and what is left to be picked from it."""
        found, hidden = self._latest_at(where)
        left = None if found is None or found[0] < hidden else within(found[2], where)
        return None if found is None or left is None else (found[1], left)

    def is_below(self, where: Split) -> bool:
        """Whether nothing that is not joined yet was put there."""
        found, hidden = self._latest_at(where)
        return max(hidden, found[0] if found else 0) <= self.joined

    def _latest_at(self, where: Split) -> tuple[tuple[int, int, Split] | None, int]:
        """Find the latest part that holds a place whole, and the stamp of the latest put that may hide it."""
        numbers = dict(zip(where.axes, where.place, strict=True))
        best: tuple[int, int, Split] | None = None
        hidden = self.across
        for known, places in self.known.items():
            if not numbers.keys() >= set(known):
                hidden = max(hidden, places[next(reversed(places))][0])
                continue
            found = places.get(tuple([numbers[axis] for axis in known]))
            if found is not None and (best is None or found[0] > best[0]):
                best = found
        return best, hidden


def is_covered(shape: Place, indices: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> bool:
    """Whether parts that are put into an array of this shape leave nothing of what was there before."""
    if sum(sizes) < prod(shape):
        return False
    seen = np.zeros(shape, bool)
    for index in indices:
        seen[index] = True
    return bool(seen.all())
