"""What was put into a buffer, by place: `h[:, t] = …` keeps the tensor, and the whole is joined once, when it is read.

In: indices and shapes. Out: places, and the parts that are not joined yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import prod
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
            if one == ALL or one.indices(shape[axis]) == (0, shape[axis], 1):
                rest.append(ALL)
            else:
                rest.append(one)
                whole = False
        elif type(one) is int or isinstance(one, np.integer):
            if not -shape[axis] <= one < shape[axis]:
                return None
            axes.append(axis)
            place.append(int(one) % shape[axis])
        else:
            return None
        axis += 1
    return Split(tuple(axes), tuple(place), tuple(rest + [ALL] * missing), whole)


class Parts:
    """Parts of one buffer, by the axes that their integers pick; the latest put wins where places overlap."""

    __slots__ = ("_spread", "across", "joined", "known", "stamp")

    def __init__(self) -> None:
        """Start with nothing put."""
        self.known: dict[tuple[int, ...], dict[Place, tuple[int, int]]] = {}  # (stamp, node id), the latest last
        self._spread: list[tuple[int, tuple[Any, ...], int]] = []  # over many places at once, not joined: index, node
        self.stamp = 0
        self.joined = 0  # all puts up to this stamp are in the whole
        self.across = 0  # the stamp of the last put over many places at once

    def put(self, at: Split, node_id: int) -> None:
        """Keep what was put at a whole place; what it hides need not be joined."""
        self.stamp += 1
        places = self.known.setdefault(at.axes, {})
        places.pop(at.place, None)
        places[at.place] = self.stamp, node_id

    def put_across(self, index: tuple[Any, ...], node_id: int) -> None:
        """Keep what was put over many places at once."""
        self.stamp += 1
        self.across = self.stamp
        self._spread.append((self.stamp, index, node_id))

    def join(self, rank: int) -> tuple[tuple[Any, ...], list[int]]:
        """Give the indices and nodes of all that is not joined yet, and see it as joined."""
        waiting, self._spread = self._spread, []
        for axes, places in self.known.items():
            late = takewhile(lambda one: one[1][0] > self.joined, reversed(places.items()))
            for place, (stamp, node) in late:
                index: list[int | slice] = [ALL] * rank
                for axis, number in zip(axes, place, strict=True):
                    index[axis] = number
                waiting.append((stamp, tuple(index), node))
        waiting.sort(key=lambda one: one[0])
        self.joined = self.stamp
        return tuple([index for _, index, _ in waiting]), [node for _, _, node in waiting]

    def at(self, where: Split) -> tuple[int, Split] | None:
        """Find the part that holds an index: the node, and what is left to be picked from it."""
        found, axes, hidden = self._latest_at(where)
        if found is None or found[0] < hidden:
            return None
        left = [axis for axis in where.axes if axis not in axes]
        kept = [sum(one not in axes for one in range(axis)) for axis in left]
        numbers = dict(zip(where.axes, where.place, strict=True))
        return found[1], Split(tuple(kept), tuple([numbers[axis] for axis in left]), where.rest, where.whole)

    def is_below(self, where: Split) -> bool:
        """Whether nothing that is not joined yet was put there."""
        found, _, hidden = self._latest_at(where)
        return max(hidden, found[0] if found else 0) <= self.joined

    def _latest_at(self, where: Split) -> tuple[tuple[int, int] | None, tuple[int, ...], int]:
        """Find the latest part that holds a place whole, and the stamp of the latest put that may hide it."""
        numbers = dict(zip(where.axes, where.place, strict=True))
        best: tuple[int, int] | None = None
        axes: tuple[int, ...] = ()
        hidden = self.across
        for known, places in self.known.items():
            if not numbers.keys() >= set(known):
                hidden = max(hidden, places[next(reversed(places))][0])
                continue
            found = places.get(tuple([numbers[axis] for axis in known]))
            if found is not None and (best is None or found > best):
                best, axes = found, known
        return best, axes, hidden


def is_covered(shape: Place, indices: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> bool:
    """Whether parts that are put into an array of this shape leave nothing of what was there before."""
    if sum(sizes) < prod(shape):
        return False
    seen = np.zeros(shape, bool)
    for index in indices:
        seen[index] = True
    return bool(seen.all())
