"""The right gradients, of every element: those of the tape of a loss, or of a hand-written forward that is recorded.

In: a replay, or a forward and its arguments. Out: gradients for any upstream, at any point, also of a changed backward.
A small forward that cannot be recorded is moved along every element instead; its backward cannot be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.again import again, with_entries
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Entry
from rnngraph.errors import RnnGraphError
from rnngraph.gradcheck.changes import changed
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.subject import Subject, weigh
from rnngraph.numpy.traced import trace_function

SAME = 1e-6  # of the recorded loss, relative
SMALL = 1_000_000  # elements of all arguments times those of all outputs, up to which differences are taken
STEP = 1e-5  # to either side


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


class Differences(Right):
    """The same by central differences of a forward."""

    replay: Replay | None = None  # type: ignore[assignment]

    def __init__(self, subject: Subject) -> None:
        """Take the last axis of the outputs for that of the units."""
        self.subject, self.weights, self.states = subject, subject.upstream, set()  # type: ignore[assignment]
        self.units = {one.shape[-1] for one in subject.outputs if one.ndim}
        self._slopes: dict[tuple[bytes, ...], list[Any]] = {}

    def gradients(
        self, upstream: Sequence[Array] = (), points: Sequence[Array] = (), change: Mapping[Any, Any] | None = None
    ) -> list[Any]:
        """Give the gradients by place."""
        at = self.subject if not points else replace(self.subject, points=list(points))
        key = tuple(one.tobytes() for one in at.points)
        if key not in self._slopes:
            self._slopes[key] = [_slopes(at, k) if one.dtype.kind == "f" else None for k, one in enumerate(at.points)]
        return [some and sum(map(_weighed, some, upstream)) for some in self._slopes[key]]


def _weighed(slopes: Array, upstream: Array) -> Array:
    return np.asarray(np.tensordot(slopes, upstream, upstream.ndim))


def _slopes(subject: Subject, place: int) -> list[Array]:
    """Give the derivatives of every output by an argument: its axes, and those of the output."""
    point = subject.points[place]
    found = [np.empty((*point.shape, *one.shape)) for one in subject.outputs]
    for index in np.ndindex(point.shape):
        direction = np.zeros_like(point)
        direction[index] = 1
        behind, ahead = (subject.moved(place, direction, offset) for offset in (-STEP, STEP))
        for own, one, other in zip(found, behind, ahead, strict=True):
            own[index] = (other - one) / (2 * STEP)
    return found


def right_of(subject: Subject, forward: Callable[..., Any], arguments: dict[str, Any]) -> Right | None:
    """Record a hand-written forward, or take differences of a small one; None of any other."""
    size = sum(one.size for one in subject.points if one.dtype.kind == "f") * sum(one.size for one in subject.outputs)
    small = size <= SMALL and subject.dtype == "float64"
    return recorded_right(subject, forward, arguments) or (Differences(subject) if small else None)


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
