"""Which entries of a tape keep a time axis, and which of them share a clock: they take the same step at the same time.

In: a tape. Out: a clock, a number, for every entry over time. Ops declare whether they act step by step; nothing is
guessed from values.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.along import ASSEMBLE, BROADCAST
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import INDEX, RESHAPE, STACK, TRANSPOSE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Entry, Tape

Ends: TypeAlias = tuple[Any, Any]  # the first and the last step behind a value, or behind each [n, t] of it
_NONE: Ends = (math.inf, -math.inf)
_MOVING = frozenset((ASSEMBLE, BROADCAST, INDEX, RESHAPE, STACK, TRANSPOSE))  # elements, and nothing else


class Clocks:
    """Clocks by entry id; two that meet in a step-by-step op become one."""

    def __init__(self, tape: Tape, fed: Mapping[int, Sequence[int]] | None = None) -> None:
        """Follow the time axis through the tape; `fed` are the numbers of the recurrences that read each input."""
        self._same: list[int] = []
        self._of: dict[int, int] = {}
        self.narrow: set[int] = set()  # entries (N, T, ·) that come step by step from others such, or from nowhere
        owners = {one.output: one for one in tape.recurrences}
        for entry in tape.entries:
            if isinstance(entry, Block):
                self._join(entry.id, (entry.sources["x"],))
                self.narrow.add(entry.id)
            elif entry.id in owners:
                self._join(entry.id, (owners[entry.id].source,))
            elif entry.value.ndim == 3 and entry.value.dtype.kind == "f":
                self._node(tape, entry)
        # States that are nodes have a clock of their own where nothing over time leads in.
        self.of_recurrence = [self._recurrence(one) for one in tape.recurrences]
        for one, other in in_step(tape, fed or {}):
            self._same[self._root(self.of_recurrence[one])] = self._root(self.of_recurrence[other])

    def _node(self, tape: Tape, node: Node) -> None:
        inputs = node.inputs[:1] if node.op.stepwise == "first" else node.inputs
        sources = [one for one in (tape.entry(i) for i in inputs) if one.value.ndim >= 3]
        steady = all(one.value.shape[:2] == node.value.shape[:2] for one in sources)
        if node.op.stepwise and steady and sources:
            self._join(node.id, tuple(one.id for one in sources))
            self.narrow.add(node.id)
        else:
            self._join(node.id, ())

    def _join(self, entry: int, sources: tuple[int, ...]) -> None:
        known = [self._root(self._of[one]) for one in sources if one in self._of]
        if not known:
            known = [len(self._same)]
            self._same.append(known[0])
        for other in known[1:]:
            self._same[other] = known[0]
        self._of[entry] = known[0]

    def _recurrence(self, one: Recurrence) -> int:
        if one.source < 0:
            self._same.append(len(self._same))
            return len(self._same) - 1
        return self._of[one.source]

    def _root(self, clock: int) -> int:
        while self._same[clock] != clock:
            clock = self._same[clock]
        return clock

    def of(self, number: int) -> int:
        """Give the clock of the recurrence of this number."""
        return self._root(self.of_recurrence[number])


def in_step(tape: Tape, fed: Mapping[int, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield pairs of recurrences, whose states are nodes, that take the same step at the same time.

    Either one reads the states that the other makes at the same step and none of another, as a layer above does; or
    both read the same data at every step, as two directions do.
    """
    own = [number for number, one in enumerate(tape.recurrences) if one.block is None]
    if len(own) < 2:
        return
    for place, number in enumerate(own):
        data = tape.recurrences[number].fed
        yield from ((number, other) for other in own[:place] if data and tape.recurrences[other].fed == data)
    for readers in fed.values():
        pairs = pairwise(number for number in readers if number in own)
        yield from (some for some in pairs if len({tape.recurrences[number].timesteps for number in some}) == 1)
    for (upper, lower), gaps in _gaps(tape, own).items():
        if gaps == {0} and tape.recurrences[upper].timesteps == tape.recurrences[lower].timesteps:
            yield upper, lower


def _gaps(tape: Tape, own: Sequence[int]) -> dict[tuple[int, int], set[int]]:
    """Give the steps between the states of two recurrences, where one comes from the other past no third."""
    states = {
        i: (number, t) for number in own for ids in tape.recurrences[number].states.values() for t, i in enumerate(ids)
    }
    behind: dict[int, dict[int, Ends]] = {}  # by entry and recurrence
    found: dict[tuple[int, int], set[int]] = {}
    for entry in tape.entries:
        below = [behind.get(tape.entry(i).id, {}) for i in entry.inputs]
        here = {n: _ends(tape, entry, [one.get(n, _NONE) for one in below]) for n in {n for one in below for n in one}}
        if entry.id in states:
            upper, t = states[entry.id]
            for number, ends in here.items():
                if number != upper:
                    found.setdefault((upper, number), set()).update(t - int(end) for end in _over_all([ends]))
            here = {upper: (t, t)}
        if here:
            behind[entry.id] = here
    return found


def _ends(tape: Tape, entry: Entry, below: Sequence[Ends]) -> Ends:
    """Give the steps behind an entry from those behind its inputs.

    What moves elements moves their steps with them, and what acts step by step leaves them in their places.
    """
    placed = any(isinstance(low, np.ndarray) for low, _ in below)
    if isinstance(entry, Block) or not (placed or (entry.op in _MOVING and len(below) > 1)):
        return _over_all(below)
    shapes = [tape.entry(i).value.shape for i in entry.inputs]
    if entry.op in _MOVING:
        wide = [
            [np.broadcast_to(end[..., None] if isinstance(end, np.ndarray) else end, shape) for end in ends]
            for ends, shape in zip(below, shapes, strict=True)
        ]
        first, last = (entry.op.forward(*some, **entry.options) for some in zip(*wide, strict=True))
        low, high = first.min(-1), last.max(-1)
        return (low, high) if low.min() < low.max() or high.min() < high.max() else _over_all([(low, high)])
    places = entry.value.shape[:-1]
    if entry.op.stepwise and all(shape[:-1] == places for shape in shapes if len(shape) > len(places)):
        lows, highs = zip(*below, strict=True)
        return functools.reduce(np.minimum, lows), functools.reduce(np.maximum, highs)
    return _over_all(below)


def _over_all(some: Sequence[Ends]) -> tuple[float, float]:
    return (
        min([low.min() if isinstance(low, np.ndarray) else low for low, _ in some]),
        max([high.max() if isinstance(high, np.ndarray) else high for _, high in some]),
    )
