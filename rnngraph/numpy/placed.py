"""What was put into a buffer, by place: `h[:, t] = …` keeps the tensor, and the whole is joined once, when it is read.

In: indices and shapes. Out: places, and the parts that are not joined yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Place: TypeAlias = tuple[int, ...]
ALL = slice(None)


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
    integers: list[tuple[int, int]] = []
    rest: list[slice] = []
    axis, missing = 0, len(shape) - len(given) + sum([one is Ellipsis for one in given])
    if missing < 0:
        return None
    for one in given:
        if one is Ellipsis:
            rest += [ALL] * missing
            axis, missing = axis + missing, 0
            continue
        if type(one) is slice:
            rest.append(ALL if one == ALL or one.indices(shape[axis]) == (0, shape[axis], 1) else one)
        elif type(one) is int or isinstance(one, np.integer):
            number = int(one)
            if not -shape[axis] <= number < shape[axis]:
                return None
            integers.append((axis, number % shape[axis]))
        else:
            return None
        axis += 1
    rest += [ALL] * missing
    return Split(tuple([axis for axis, _ in integers]), tuple([number for _, number in integers]), tuple(rest))


@dataclass(slots=True)
class Parts:
    """Parts of one buffer; `known` are those that can be read back, and `pending` those that are not joined yet."""

    axes: tuple[int, ...] = ()
    known: dict[Place, int] = field(default_factory=dict)  # node ids
    pending: dict[Any, tuple[tuple[Any, ...], int]] = field(default_factory=dict)  # by place: (index, node id)

    def put(self, at: Split, node_id: int) -> None:
        """Keep what was put at a place."""
        if at.axes != self.axes:
            self.known.clear()
            self.axes = at.axes
        self.known[at.place] = node_id
        self.pending.pop((at.axes, at.place), None)  # what is hidden need not be joined
        self.pending[at.axes, at.place] = at.index, node_id

    def put_across(self, index: tuple[Any, ...], node_id: int) -> None:
        """Keep what was put over many places at once."""
        self.known.clear()
        self.pending[object()] = index, node_id

    def at(self, where: Split) -> tuple[int, Split] | None:
        """Find the part that holds an index: the node, and what is left to be picked from it."""
        if not self.known or not set(self.axes) <= set(where.axes):
            return None
        numbers = dict(zip(where.axes, where.place, strict=True))
        node_id = self.known.get(tuple([numbers[axis] for axis in self.axes]))
        if node_id is None:
            return None
        left = [axis for axis in where.axes if axis not in self.axes]
        kept = [sum(one not in self.axes for one in range(axis)) for axis in left]
        return node_id, Split(tuple(kept), tuple([numbers[axis] for axis in left]), where.rest)
