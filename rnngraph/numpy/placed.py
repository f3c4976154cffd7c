"""What was put into a buffer, by place: `h[:, t] = …` keeps the tensor, and the whole is joined once, when it is read.

In: indices and shapes. Out: places, and the parts that are not joined yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np

Place: TypeAlias = tuple[int, ...]
ALL = slice(None)
_DOTS = type(Ellipsis)


@dataclass(slots=True)
class Split:
    """An index in two: the axes that an integer picks, and what is left for the other axes."""

    axes: tuple[int, ...]
    place: Place
    rest: tuple[slice, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing but the integers restricts it."""
        return self.rest.count(ALL) == len(self.rest)

    def shape_in(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape of the whole place in an array of this shape."""
        return tuple([size for axis, size in enumerate(shape) if axis not in self.axes])

    @property
    def index(self) -> tuple[int | slice, ...]:
        """The index that picks the whole place."""
        size = len(self.place) + len(self.rest)
        found: list[int | slice] = [ALL] * size
        for axis, number in zip(self.axes, self.place, strict=True):
            found[axis] = number
        return tuple(found)


def split(index: Any, shape: tuple[int, ...]) -> Split | None:
    """Tell integers from slices; None for an index that is made of anything else, or is out of range."""
    given = index if type(index) is tuple else (index,)
    axes: list[int] = []
    place: list[int] = []
    rest: list[slice] = []
    axis, missing = 0, len(shape) - len(given) + (_DOTS in map(type, given))
    if missing < 0:
        return None
    for one in given:
        if one is Ellipsis:
            rest += [ALL] * missing
            axis, missing = axis + missing, 0
            continue
        if type(one) is slice:
            full = one.stop is None and one.start is None and one.step is None
            rest.append(ALL if full or one.indices(shape[axis]) == (0, shape[axis], 1) else one)
        elif type(one) is int or isinstance(one, np.integer):
            if not -shape[axis] <= one < shape[axis]:
                return None
            axes.append(axis)
            place.append(int(one) % shape[axis])
        else:
            return None
        axis += 1
    return Split(tuple(axes), tuple(place), tuple(rest + [ALL] * missing))


@dataclass(slots=True)
class Parts:
    """Parts of one buffer, by the axes that their integers pick; the latest put wins where places overlap."""

    known: dict[tuple[int, ...], dict[Place, tuple[int, int]]] = field(default_factory=dict)  # (stamp, node id)
    pending: dict[Any, tuple[tuple[Any, ...], int]] = field(default_factory=dict)  # not joined: (index, node id)
    latest: dict[tuple[int, ...], int] = field(default_factory=dict)  # the stamp of the last put by these axes
    stamp: int = 0
    joined: int = 0  # all puts up to this stamp are in the whole
    across: int = 0  # the stamp of the last put over many places at once

    def put(self, at: Split, node_id: int) -> None:
        """Keep what was put at a place."""
        self.stamp += 1
        self.known.setdefault(at.axes, {})[at.place] = self.stamp, node_id
        self.latest[at.axes] = self.stamp
        self.pending.pop((at.axes, at.place), None)  # what is hidden need not be joined
        self.pending[at.axes, at.place] = at.index, node_id

    def put_across(self, index: tuple[Any, ...], node_id: int) -> None:
        """Keep what was put over many places at once."""
        self.stamp += 1
        self.across = self.stamp
        self.pending[object()] = index, node_id

    def at(self, where: Split) -> tuple[int, Split] | None:
        """Find the part that holds an index: the node, and what is left to be picked from it."""
        found, axes, hidden = self._latest_at(where)
        if found is None or found[0] < hidden:
            return None
        left = [axis for axis in where.axes if axis not in axes]
        kept = [sum(one not in axes for one in range(axis)) for axis in left]
        numbers = dict(zip(where.axes, where.place, strict=True))
        return found[1], Split(tuple(kept), tuple([numbers[axis] for axis in left]), where.rest)

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
                hidden = max(hidden, self.latest[known])
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
