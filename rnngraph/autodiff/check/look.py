"""One look at a hand-written gradient: its timesteps, what is claimed for a loss at one step, and what is true there.

In: a subject. Out: whether a part of a gradient is wrong for some loss, and the words for a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.check.mistakes import mistake
from rnngraph.autodiff.check.slopes import Line
from rnngraph.autodiff.check.subject import TOLERANCES, Subject
from rnngraph.autodiff.contribution import Array

MOST = 8  # timesteps that are looked at one by one
DRAWS = 2  # directions within a part
STEPS = {"float64": (1e-5, 1e-6), "float32": (1e-2, 4e-3)}  # short: a kink would be taken for a mistake
Loss: TypeAlias = tuple[Sequence[Array], Sequence[Any]]  # an upstream gradient, and what is claimed for it


class Look:
    """One look at a subject."""

    def __init__(self, subject: Subject, generator: np.random.Generator, axes: dict[int, int] | None = None) -> None:
        """Find the axes of the timesteps, by output, or take those of another point."""
        self.subject, self.generator = subject, generator
        self.whole: Loss = subject.upstream, subject.claimed
        found = ((k, self._time_axis(out)) for k, out in enumerate(subject.outputs) if axes is None)
        self.axes = axes or {k: axis for k, axis in found if axis is not None}
        self.time = min(MOST, max([subject.outputs[k].shape[axis] for k, axis in self.axes.items()], default=0))
        shapes = [output.shape for output in subject.outputs if output.ndim > 1]
        self.gate_sizes = {shape[axis] for shape in shapes for axis in (0, -1)}  # units stand last, or first in columns

    def _time_axis(self, output: Array) -> int | None:
        """Find the axis along which what an argument holds at one place is felt at later ones alone."""
        subject = self.subject
        for axis, place in [(axis, place) for axis in range(output.ndim) for place in subject.floating()]:
            point, felt = subject.points[place], []
            if point.ndim == output.ndim > 1 and point.shape[axis] == output.shape[axis] > 1:
                for at in (0, -1):
                    direction = subject.direction(place, self.generator, part_at(axis, at))
                    moved = next(one for one in subject.moved(place, direction, 1.0) if one.shape == output.shape)
                    felt.append(np.moveaxis(moved - output, axis, 0))
                if felt[0][1:].any() and not felt[1][:-1].any():
                    return axis
        return None

    @cached_property
    def losses(self) -> Sequence[Loss]:
        """The losses that are limited to one step."""
        found = []
        for t in range(self.time):
            upstream = [np.zeros_like(one) for one in self.subject.upstream]
            for k, axis in self.axes.items():
                upstream[k][part_at(axis, t)] = self.subject.upstream[k][part_at(axis, t)]
            found.append((upstream, self.subject.gradients(self.subject.points, upstream)))
        return found

    def lines(self, place: int, keep: Any = ...) -> list[Line]:
        """Draw directions within a part of an argument."""
        drawn = [self.subject.direction(place, self.generator, keep) for _ in range(DRAWS)]
        return [Line(self.subject, place, direction, 10 * TOLERANCES[self.subject.dtype]) for direction in drawn]

    def is_wrong(self, lines: Sequence[Line], upstream: Sequence[Array], gradient: Array) -> bool:
        """Whether a gradient is wrong along the directions."""
        return any(line.compare(upstream, gradient, STEPS[self.subject.dtype]).wrong for line in lines)

    def wrong_losses(self, place: int, keep: Any = ...) -> list[int]:
        """Give the steps of which the loss has a wrong gradient in a part of an argument."""
        lines = self.lines(place, keep)
        return [
            t for t, (upstream, claimed) in enumerate(self.losses) if self.is_wrong(lines, upstream, claimed[place])
        ]

    def table(self, place: int) -> set[tuple[int, int]]:
        """Find the (loss at t, argument at k) of which the gradient is wrong."""
        axis = self.time_of(place) or 0
        return {(t, k) for k in range(self.time) for t in self.wrong_losses(place, part_at(axis, k))}

    def time_of(self, place: int) -> int | None:
        """Give the axis of the timesteps of an argument."""
        point = self.subject.points[place]
        shapes = [(self.subject.outputs[k].shape, axis) for k, axis in self.axes.items()]
        fitting = (axis for shape, axis in shapes if point.ndim == len(shape) and point.shape[axis] == shape[axis])
        return next(fitting, None)

    def mistake(self, place: int, loss: Loss | None = None) -> str:
        """Name the mistake of which the mending makes the gradient right."""
        upstream, claimed = loss or self.whole
        gradient, lines = claimed[place], self.lines(place)
        slope = lines[0].estimate(upstream, STEPS[self.subject.dtype][0])[0]
        factor = float((gradient * lines[0].direction).sum()) / slope if slope else 0.0
        is_wrong = partial(self.is_wrong, lines, upstream)
        return mistake(gradient, factor, is_wrong, self.gate_sizes, self.time_of(place))

    def still(self) -> Look | None:
        """Look at the same with recurrent weights of zero, where a step is felt at an earlier one by its cell alone."""
        outputs = {k: one.shape for k, one in enumerate(self.subject.outputs) if one.ndim > 1}
        states = [(*shape[: self.axes.get(k, 0)], *shape[self.axes.get(k, 0) + 1 :]) for k, shape in outputs.items()]
        recurrent = {shape for *_, n in outputs.values() for k in (1, 3, 4) for shape in ((n, k * n), (k * n, n))}
        held = [one.shape in recurrent and one.shape not in states for one in self.subject.points]
        if not any(held) or all(held):
            return None
        points = [np.zeros_like(one) if zero else one for one, zero in zip(self.subject.points, held, strict=True)]
        return Look(self.subject.at(points), self.generator, self.axes)


def part_at(axis: int, t: int) -> tuple[Any, ...]:
    """Give the index of one timestep."""
    return (*(slice(None),) * axis, t)
