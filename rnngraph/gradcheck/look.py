"""One look at gradients: of the whole loss, and of losses that are limited to one timestep after the other.

In: a subject and the replay of what is right. Out: which gradients are wrong in which part, and for which losses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.mistakes import off
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.subject import Subject

MOST = 8  # timesteps that are looked at one by one
ROUNDING = 1e3  # of a gradient, in units of the last place of its largest element
FEW = 2  # a factor of which has many reasons
CLOSE = 1e-5  # relative; a factor to a count, or a norm to a round one
Pair: TypeAlias = tuple[Sequence[Any], Sequence[Any]]  # claimed and right gradients of one loss


class Look:
    """A look at one point."""

    def __init__(self, subject: Subject, right: Replay) -> None:
        """Compare the whole, and find the axes of the timesteps, by output."""
        self.subject, self.right = subject, right
        self.whole: Pair = subject.claimed, self._right([subject.upstream])[0]
        self.axes = self._time_axes()
        self.states, self.units = set[tuple[int, ...]](), set[int]()  # shapes of states, and sizes of their units
        self.counts = dict[str, int]()  # what a loss or a gradient may be divided by
        for one in right.tape.recurrences:
            whole = [] if one.block is None else [(one.block.value.shape[1:], one.block.steps)]
            steps = [(right.tape.nodes[ids[0]].value.shape, len(ids)) for ids in one.states.values()]
            for shape, time in whole or steps:
                self.states.add(shape)
                self.units.add(shape[0 if one.batch_axis == 1 else -1])
                batch = 1 if one.batch_axis is None else shape[one.batch_axis]
                both = {f"the {batch} samples and {time} steps": batch * time}
                self.counts |= {f"the {batch} samples": batch, f"the {time} steps": time} | (both if batch > 1 else {})

    def hint(self, factor: float, places: Collection[int]) -> str:
        """Ask whether a factor is a division, or the norm of all gradients at some places a round one."""
        for words, times in (("not divided", factor), ("divided", 1 / (factor or np.inf))):
            by = [name for name, count in self.counts.items() if count > FEW and abs(times / count - 1) < CLOSE]
            if by:
                return f": {words} by {', or '.join(by)}?"
        norm = float(np.sqrt(sum(float((self.subject.claimed[k] ** 2).sum()) for k in places)))
        clipped = 0 < factor < 1 and abs(norm - float(f"{norm:.2g}")) < CLOSE * norm
        return f": clipped to norm {norm:.2g}?" if clipped else ""

    def _right(self, losses: Sequence[Sequence[Array]]) -> list[list[Any]]:
        """Give the right gradients of some losses."""
        rows = self.right.rows(losses) if losses else []
        return [[None if one is None else one[k] for one in rows] for k in range(len(losses))]

    def _time_axes(self) -> dict[int, int]:
        """Find the axes of the outputs along which what an argument holds at one place is felt at later ones alone."""
        found: dict[int, int] = {}
        upstream = self.subject.upstream
        for k, axis in [(k, axis) for k, one in enumerate(upstream) for axis in range(one.ndim) if one.ndim > 1]:
            for one, other in zip(*self._right([self._limited({k: axis}, t) for t in (0, -1)]), strict=True):
                if one is not None and one.ndim == upstream[k].ndim and one.shape[axis] == upstream[k].shape[axis] > 1:
                    first, last = np.moveaxis(one, axis, 0), np.moveaxis(other, axis, 0)
                    if last[:-1].any() and not first[1:].any():
                        found.setdefault(k, axis)
        return found

    def _limited(self, axes: dict[int, int], t: int) -> list[Array]:
        """Give the upstream gradients of a loss at one timestep."""
        upstream = [np.zeros_like(one) for one in self.subject.upstream]
        for k, axis in axes.items():
            upstream[k][part_at(axis, t)] = self.subject.upstream[k][part_at(axis, t)]
        return upstream

    def time_of(self, place: int) -> int | None:
        """Give the axis of the timesteps of an argument, which is that of an output."""
        point = self.subject.points[place]
        shapes = [(self.subject.outputs[k].shape, axis) for k, axis in self.axes.items()]
        fitting = (axis for shape, axis in shapes if point.ndim == len(shape) and point.shape[axis] == shape[axis])
        return next(fitting, None)

    @cached_property
    def losses(self) -> Sequence[Pair]:
        """The losses that are limited to one step."""
        points, sizes = self.subject.points, [self.subject.outputs[k].shape[axis] for k, axis in self.axes.items()]
        limited = [self._limited(self.axes, t) for t in range(min([MOST, *sizes]) if sizes else 0)]
        return [(self.subject.gradients(points, one), right) for one, right in zip(limited, self._right(limited), strict=True)]

    def is_wrong(self, pair: Pair, place: int, part: Any = ...) -> bool:
        """Tell what is wrong from what only rounds otherwise."""
        claimed, right = pair[0][place], pair[1][place]
        whole, size = (float(np.abs(one).max(initial=0.0)) for one in (right, right[part]))
        allowed = ROUNDING * float(np.finfo(self.subject.dtype).eps) * whole + 10 * self.subject.tolerance * size
        return not off(claimed[part], right[part]) <= allowed

    def wrong_at(self, place: int, part: Any = ...) -> list[int]:
        """Give the numbers of the losses of which the gradient is wrong in a part of an argument."""
        return [number for number, pair in enumerate(self.losses) if self.is_wrong(pair, place, part)]

    def table(self, place: int) -> set[tuple[int, int]]:
        """Find the (loss at t, argument at k) of which the gradient is wrong."""
        axis = self.time_of(place) or 0
        return {(t, k) for k in range(len(self.losses)) for t in self.wrong_at(place, part_at(axis, k))}


def part_at(axis: int, t: int) -> tuple[Any, ...]:
    """Give the index of one timestep."""
    return (*(slice(None),) * axis, t)
