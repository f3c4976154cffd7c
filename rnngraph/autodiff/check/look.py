"""One look at a hand-written gradient: its timesteps, what is claimed for a loss at one step, and what is true there.

In: a subject. Out: whether a part of a gradient is wrong for some loss, and the words for a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rnngraph.autodiff.check.mended import mistake
from rnngraph.autodiff.check.slopes import ROUNDING, change, weigh
from rnngraph.autodiff.check.subject import TOLERANCES, Subject
from rnngraph.autodiff.contribution import Array

MOST = 8  # timesteps that are looked at one by one
DRAWS = 2  # directions within a part
STEPS = {"float64": 1e-5, "float32": 1e-2}  # short: a kink would be taken for a mistake
EVERYWHERE = (...,)


class Look:
    """One look at a subject. The outputs' change along a direction is computed once, and held to all losses."""

    def __init__(self, subject: Subject, generator: np.random.Generator, like: Look | None = None) -> None:
        """Find the timesteps, or take those of another point."""
        self.subject, self.generator = subject, generator
        self._by_step: dict[int, tuple[list[Array], list[Array | None]]] = {}
        self._changes: dict[str, list[tuple[Array, list[Array]]]] = {}
        found = ((k, self._time_axis(out)) for k, out in enumerate(subject.outputs) if like is None)
        self.axes: dict[int, int] = like.axes if like else {k: axis for k, axis in found if axis is not None}
        self.time = min(MOST, max([subject.outputs[k].shape[axis] for k, axis in self.axes.items()], default=0))

    def _time_axis(self, output: Array) -> int | None:
        """Find the axis along which what an argument holds at one place is felt at later ones alone."""
        for axis, place in [(axis, place) for axis in range(output.ndim) for place in self.subject.floating()]:
            point = self.subject.points[place]
            if point.ndim == output.ndim > 1 and point.shape[axis] == output.shape[axis] > 1:
                felt = [np.moveaxis(self._felt(place, part_at(axis, at), output), axis, 0) for at in (0, -1)]
                if felt[0][1:].any() and not felt[1][:-1].any():
                    return axis
        return None

    def _felt(self, place: int, keep: Any, output: Array) -> Array:
        moved = self.subject.moved(place, self._direction(place, keep), 1.0)
        return next(one for one in moved if one.shape == output.shape) - output

    def _direction(self, place: int, keep: Any) -> Array:
        direction = np.zeros_like(self.subject.points[place])
        direction[keep] = self.subject.direction(place, self.generator)[keep]
        return direction

    def of_step(self, t: int) -> tuple[list[Array], list[Array | None]]:
        """Give an upstream gradient that is limited to one step, and what is claimed for it."""
        if t not in self._by_step:
            upstream = [np.zeros_like(one) for one in self.subject.upstream]
            for k, axis in self.axes.items():
                upstream[k][part_at(axis, t)] = self.subject.upstream[k][part_at(axis, t)]
            self._by_step[t] = upstream, self.subject.gradients(self.subject.points, upstream)
        return self._by_step[t]

    def changes(self, place: int, keep: Any) -> list[tuple[Array, list[Array]]]:
        """Give directions within a part of an argument, and how the outputs change along them."""
        key = f"{place} {keep}"
        if key not in self._changes:
            directions = [self._direction(place, keep) for _ in range(DRAWS)]
            step = STEPS[self.subject.dtype]
            self._changes[key] = [(one, change(self.subject, place, one, step)) for one in directions]
        return self._changes[key]

    def is_wrong(self, place: int, keep: Any, upstream: Sequence[Array], gradient: Array | None) -> bool:
        """Whether a gradient is wrong along directions that are limited to a part of the argument."""
        assert gradient is not None
        noise = ROUNDING * self.subject.epsilon / STEPS[self.subject.dtype] * abs_sum(upstream, self.subject.outputs)
        small = max(1e-7 * float(np.abs(gradient).max(initial=0.0)), noise)
        for direction, changed in self.changes(place, keep):
            products = gradient * direction
            claimed, slope, typical = float(products.sum()), weigh(upstream, changed), float(np.linalg.norm(products))
            if not abs(claimed - slope) <= 10 * TOLERANCES[self.subject.dtype] * max(abs(slope), typical) + small:
                return True
        return False

    def time_of(self, place: int) -> int | None:
        """Give the axis of the timesteps of an argument."""
        point = self.subject.points[place]
        for k, axis in self.axes.items():
            if point.ndim == self.subject.outputs[k].ndim and point.shape[axis] == self.subject.outputs[k].shape[axis]:
                return axis
        return None

    def mistake(self, place: int, upstream: Sequence[Array], gradient: Array | None) -> str:
        """Name the mistake of which the mending makes the gradient right."""
        assert gradient is not None
        direction, changed = self.changes(place, EVERYWHERE)[0]
        slope = weigh(upstream, changed)
        factor = float((gradient * direction).sum()) / slope if slope else 0.0
        wrong = partial(self.is_wrong, place, EVERYWHERE, upstream)
        return mistake(gradient, factor, wrong, self.time_of(place), self.gate_sizes())

    def gate_sizes(self) -> set[int]:
        """Give what may be the size of a gate: the units of an output, which stand last, or first in columns."""
        return {output.shape[axis] for output in self.subject.outputs if output.ndim > 1 for axis in (0, -1)}

    def still(self) -> Look | None:
        """Look at the same with recurrent weights of zero, where a step is felt at an earlier one by its cell alone."""
        outputs = {k: one.shape for k, one in enumerate(self.subject.outputs) if one.ndim > 1}
        states = [(*shape[: self.axes.get(k, 0)], *shape[self.axes.get(k, 0) + 1 :]) for k, shape in outputs.items()]
        recurrent = {shape for *_, n in outputs.values() for k in (1, 3, 4) for shape in ((n, k * n), (k * n, n))}
        held = [one.shape in recurrent and one.shape not in states for one in self.subject.points]
        if not any(held) or all(held):
            return None
        points = [np.zeros_like(one) if zero else one for one, zero in zip(self.subject.points, held, strict=True)]
        return Look(self.subject.at(points), self.generator, self)

    def table(self, place: int, axis: int, losses: Sequence[int]) -> set[tuple[int, int]]:
        """Find the (loss at t, argument at k) of which the gradient is wrong."""
        return {
            (t, k)
            for t in losses
            for k in range(t + 1)
            if self.is_wrong(place, part_at(axis, k), self.of_step(t)[0], self.of_step(t)[1][place])
        }


def abs_sum(upstream: Sequence[Array], outputs: Sequence[Array]) -> float:
    """Give the size of a weighted sum, of which its rounding is a share."""
    return max([float(np.abs(u * out).sum()) for u, out in zip(upstream, outputs, strict=True)], default=0.0)


def part_at(axis: int, t: int) -> tuple[Any, ...]:
    """Give the index of one timestep."""
    return (*(slice(None),) * axis, t)
