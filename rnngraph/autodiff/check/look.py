"""One look at a hand-written gradient: its timesteps, losses at one of them, and which gradients of these are wrong.

In: a subject. Out: the steps of losses for which a part of a gradient is wrong, and the words for a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from rnngraph.autodiff.check.mistakes import mendings
from rnngraph.autodiff.check.slopes import Line
from rnngraph.autodiff.check.subject import Subject
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError

MOST = 8  # timesteps that are looked at one by one
DRAWS = 2  # directions within a part
STEPS = {"float64": (1e-5, 1e-6), "float32": (1e-2, 4e-3)}  # short: a kink would be taken for a mistake


class Look:
    """One look at a subject."""

    def __init__(self, subject: Subject, generator: np.random.Generator, axes: dict[int, int] | None = None) -> None:
        """Find the axes of the timesteps, by output, or take those of another point."""
        self.subject, self.generator = replace(subject, wanted=10 * subject.tolerance), generator
        found = ((k, self._time_axis(out)) for k, out in enumerate(subject.outputs) if axes is None)
        self.axes = axes or {k: axis for k, axis in found if axis is not None}
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

    def time_of(self, place: int) -> int | None:
        """Give the axis of the timesteps of an argument."""
        point = self.subject.points[place]
        shapes = [(self.subject.outputs[k].shape, axis) for k, axis in self.axes.items()]
        fitting = (axis for shape, axis in shapes if point.ndim == len(shape) and point.shape[axis] == shape[axis])
        return next(fitting, None)

    @cached_property
    def losses(self) -> Sequence[Subject]:
        """The losses that are limited to one step; of sequences of whole numbers, such as a text, shortened ones."""
        subject, found = self.subject, list[Subject]()
        for t in range(min([MOST, *(subject.outputs[k].shape[axis] for k, axis in self.axes.items())])):
            if not self.axes:
                break
            upstream = [np.zeros_like(one) for one in subject.upstream]
            for k, axis in self.axes.items():
                upstream[k][part_at(axis, t)] = subject.upstream[k][part_at(axis, t)]
            found.append(subject.weighed(upstream))
        return found or self._shortened()

    def _shortened(self) -> Sequence[Subject]:
        points = self.subject.points
        words = [k for k, one in enumerate(points) if one.dtype.kind in "iu" and one.ndim == 1]
        sizes, found = {len(points[k]) for k in words}, list[Subject]()
        for length in range(1, min([MOST, *sizes]) + 1) if len(sizes) == 1 else ():
            try:
                shorter = self.subject.at([one[:length] if k in words else one for k, one in enumerate(points)])
            except InputError:  # a function that takes no other length
                return ()
            if any(one.shape != other.shape for one, other in zip(shorter.outputs, shorter.upstream, strict=True)):
                return ()
            found.append(shorter)
        return found

    def wrong(self, losses: Sequence[Subject], place: int, part: Any = ...) -> list[int]:
        """Give the numbers of the losses of which the gradient is wrong in a part of an argument."""
        found, lines, points = [], list[Line](), None
        for number, loss in enumerate(losses):
            if loss.points is not points:
                points, whole = loss.points, self.subject if loss.points is self.subject.points else loss
                lines = [Line(whole, place, whole.direction(place, self.generator, part)) for _ in range(DRAWS)]
            steps, gradient = STEPS[loss.dtype], loss.claimed[place]
            if any(line.compare(loss.upstream, gradient, steps).wrong for line in lines):
                found.append(number)
        return found

    def table(self, place: int) -> set[tuple[int, int]]:
        """Find the (loss at t, argument at k) of which the gradient is wrong."""
        axis, steps = self.time_of(place) or 0, range(len(self.losses))
        return {(t, k) for k in steps for t in self.wrong(self.losses, place, part_at(axis, k))}

    def mistake(self, place: int, loss: Subject) -> str:
        """Name the mistake of which the mending makes the gradient right."""
        gradient, line = loss.claimed[place], Line(loss, place, loss.direction(place, self.generator))
        slope, _, _ = line.estimate(loss.upstream, STEPS[loss.dtype][0])
        factor = float((gradient * line.direction).sum()) / slope if slope else 0.0
        mended = list(mendings(gradient, factor, self.gate_sizes, self.time_of(place)))
        wrong = self.wrong([loss, *(loss.claiming(place, one) for _, one in mended)], place)
        fits = [words for number, (words, _) in enumerate(mended, 1) if number not in wrong and 0 in wrong]
        return fits[0] if fits else ""

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
