"""The right gradients, of every element: those of the tape of a loss, or of a hand-written forward that is recorded.

In: a replay, or a forward and its arguments. Out: gradients for any upstream, at any point, also of a changed backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.again import again, recomputed, with_entries
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import INDEX
from rnngraph.autodiff.tape import Entry
from rnngraph.errors import RnnGraphError
from rnngraph.gradcheck.changes import changed
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.subject import Subject, weigh
from rnngraph.numpy.placed import split
from rnngraph.numpy.traced import trace_function

SAME = 1e-6  # of the recorded loss, relative


class Right:
    """A scalar loss on a tape: its leaves by place, and those that weigh the outputs, where there are any."""

    def __init__(self, replay: Replay, leaves: Sequence[Entry | None], weights: Sequence[Entry] = ()) -> None:
        """Keep the replay of the loss; a place without a gradient has no leaf."""
        self.replay, self.leaves, self.weights = replay, leaves, weights
        self.states, self.units = set[tuple[int, ...]](), set[int]()  # shapes of states, and sizes of their units
        for one in replay.tape.recurrences:
            whole = [] if one.block is None else [one.block.value.shape[1:]]
            for shape in whole or [replay.tape.nodes[ids[0]].value.shape for ids in one.states.values()]:
                self.states.add(shape)
                self.units.add(shape[0 if one.batch_axis == 1 else -1])

    def read_along(self, place: int) -> int | None:
        """Give the axis of an argument along which every step reads a place of its own; None where there is none."""
        leaf, read = self.leaves[place], dict[int, set[int]]()
        if leaf is None:
            return None
        for entry in self.replay.nodes:
            if entry.op is INDEX and entry.inputs == (leaf.id,) and entry.timestep >= 0:
                where = split(entry.options["index"], leaf.value.shape)
                for axis, at in zip(where.axes, where.place, strict=True) if where is not None else ():
                    read.setdefault(axis, set()).add(at)
        whole = [axis for axis, some in read.items() if len(some) == leaf.value.shape[axis] > 1]
        return whole[0] if len(whole) == 1 else None

    def gradients(
        self, upstream: Sequence[Array] = (), points: Sequence[Array] = (), change: Mapping[Any, Any] | None = None
    ) -> list[Any]:
        """Give the gradients by place, of a backward that is changed where that is wanted."""
        given = {leaf.id: one for leaf, one in zip(self.leaves, points, strict=False) if leaf is not None}
        given |= {leaf.id: one for leaf, one in zip(self.weights, upstream, strict=False)}
        tape = again(self.replay.tape, given) if given else self.replay.tape
        if change is not None:
            tape = with_entries(tape, changed(tape.entries, change))
        found = self.replay.gradients([np.ones(one.shape) for one in self.replay.values(tape)], tape)
        by_id = {leaf.id: one for leaf, one in zip(self.replay.leaves, found, strict=True)}
        return [None if leaf is None else by_id[leaf.id] for leaf in self.leaves]


def in_float64(subject: Subject, right: Right) -> Subject:
    """Give a subject whose forward computes in float32 with its outputs replayed in float64, which differences need."""
    replay, weights = right.replay, {leaf.id for leaf in right.weights}
    outputs = [entry.inputs[1] for entry in replay.nodes if not weights.isdisjoint(entry.inputs)]

    def run(points: Sequence[Array]) -> list[Array]:
        pairs = zip(right.leaves, points, strict=True)
        moved = {leaf.id: one for leaf, one in pairs if leaf is not None and one is not leaf.value}
        values, _ = recomputed(replay.tape, moved, replay.moved(moved), wanted=outputs)
        return [values[one] for one in outputs]

    return replace(subject, run=run, outputs=run(subject.points), narrow=True)


def recorded_right(subject: Subject, forward: Callable[..., Any], arguments: dict[str, Any]) -> Right | None:
    """Record a hand-written forward; None where it cannot be recorded, or then gives other outputs."""

    def weighed(given: dict[str, Any], weights: list[Any]) -> Any:
        return sum((one * out).sum() for one, out in zip(weights, forward(*given.values()), strict=False))

    try:
        traced = trace_function(weighed, arguments, subject.upstream, check=False)
        replay = Replay([traced])
    except (RnnGraphError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    places, leaves = [k for k, one in enumerate(subject.points) if one.dtype.kind == "f"], replay.leaves
    shapes = [subject.points[k].shape for k in places] + [one.shape for one in subject.upstream]
    loss = weigh(subject.upstream, subject.outputs)
    same = abs(float(traced.value) - loss) <= max(SAME, subject.tolerance) * max(abs(loss), 1.0)
    if not same or [one.value.shape for one in leaves[: len(shapes)]] != shapes:
        return None
    by_place = dict(zip(places, leaves, strict=False))
    return Right(replay, [by_place.get(k) for k in range(len(subject.points))], leaves[len(places) : len(shapes)])
