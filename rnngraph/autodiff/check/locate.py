"""Say where a hand-written gradient is wrong: in which step, across which steps, in which gate, and by which mistake.

In: a subject and its wrong arguments. Out: sentences. Every one is measured: the loss is limited to one timestep, the
direction to a part of an argument, and a mistake is named only where mending it makes the gradient right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.check.slopes import STEPS, Line
from rnngraph.autodiff.check.subject import TOLERANCES, Subject

GATES = {3: "rzn", 4: "ifog"}  # names for blocks of units; blocks are numbered too, since orders differ
MOST = 12  # timesteps that are looked at one by one


def locate(subject: Subject, wrong: Sequence[int], generator: np.random.Generator) -> tuple[str, ...]:
    """Say where the gradients of the wrong arguments are wrong."""
    if not wrong:
        return ()
    look = _Look(subject, generator)
    with np.errstate(all="ignore"):
        return tuple([*look.rows(wrong), *(one for place in wrong for one in look.argument(place))])


class _Look:
    """One look at a subject; upstream gradients that are limited to a step are made once."""

    def __init__(self, subject: Subject, generator: np.random.Generator) -> None:
        self.subject, self.generator = subject, generator
        self.axes = {k: axis for k, out in enumerate(subject.outputs) if (axis := self._time_axis(out)) is not None}
        self.time = max([subject.outputs[k].shape[axis] for k, axis in self.axes.items()], default=0)
        self.carries: dict[int, set[tuple[int, int]]] = {}
        self._by_step: dict[int, tuple[list[Array], list[Array | None]]] = {}

    def _time_axis(self, output: Array) -> int | None:
        """Find the axis along which what an argument holds at one place is felt at later ones."""
        for axis in [axis for axis in (1, 0) if output.ndim >= 2 + (axis == 1)]:
            size = output.shape[axis]
            for place in self.subject.floating():
                point = self.subject.points[place]
                if point.ndim == output.ndim and point.shape[axis] == size > 1:
                    at = self._at(point.ndim, axis, 0)
                    direction = np.zeros_like(point)
                    direction[at] = self.subject.direction(place, self.generator)[at]
                    moved = self.subject.moved(place, direction, 1.0)
                    felt = next(one for one in moved if one.shape == output.shape) - output
                    if np.moveaxis(felt, axis, 0)[1:].any():
                        return axis
        return None

    @staticmethod
    def _at(axes: int, axis: int, t: int) -> tuple[Any, ...]:
        return tuple([t if one == axis else slice(None) for one in range(axes)])

    def of_step(self, t: int) -> tuple[list[Array], list[Array | None]]:
        """Give an upstream gradient that is limited to one step, and what is claimed for it."""
        if t not in self._by_step:
            upstream = []
            for k, whole in enumerate(self.subject.upstream):
                one = np.zeros_like(whole)
                if k in self.axes:
                    at = self._at(whole.ndim, self.axes[k], t)
                    one[at] = whole[at]
                upstream.append(one)
            self._by_step[t] = upstream, self.subject.gradients(self.subject.points, upstream)
        return self._by_step[t]

    def is_wrong(self, place: int, keep: Any, upstream: Sequence[Array], gradient: Array) -> bool:
        """Whether a gradient is wrong along directions that are limited to a part of the argument."""
        for _ in range(2):
            direction = np.zeros_like(self.subject.points[place])
            direction[keep] = self.subject.direction(place, self.generator)[keep]
            line = Line(self.subject, place, direction, TOLERANCES[self.subject.dtype])
            found = line.compare(upstream, gradient, STEPS if self.subject.dtype == "float64" else (1e-2, 5e-3))
            small = 1e-8 * float(np.abs(self.subject.claimed[place]).max(initial=0.0))  # type: ignore[arg-type]
            if found.resolved and not found.passed and abs(found.analytic - found.numeric) > small:
                return True
        return False

    def rows(self, wrong: Sequence[int]) -> Iterator[str]:
        """Say which arguments are right, where some are."""
        names = self.subject.names
        right = [names[k] for k in self.subject.floating() if k not in wrong]
        if right:
            yield f"wrong: {', '.join(names[k] for k in wrong)}; right: {', '.join(right)}."

    def argument(self, place: int) -> Iterator[str]:
        """Say of one argument where it is wrong and by which mistake."""
        name, gradient = self.subject.names[place], self.subject.claimed[place]
        assert gradient is not None
        mistake = self._mistake(place, self.subject.upstream, gradient)
        if mistake:
            yield f"{name}: {mistake}."
            return
        if self.time > 1:
            yield from self._steps(place, name)
        gates = self._gates(place)
        if gates:
            yield f"{name}: {gates}."

    def _mistake(self, place: int, upstream: Sequence[Array], gradient: Array) -> str:
        """Name the mistake of which the mending makes the gradient right."""
        if not gradient.any():
            return "the gradient is zero throughout; it is not computed, or overwritten"
        for words, mended in self._mendings(place, gradient):
            if not np.array_equal(mended, gradient) and not self.is_wrong(place, ..., upstream, mended):
                return words
        return ""

    def _mendings(self, place: int, gradient: Array) -> Iterator[tuple[str, Array]]:
        yield "the sign is wrong", -gradient
        if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1]:
            yield "it is transposed", gradient.T
        direction = self.subject.direction(place, self.generator)
        slope = Line(self.subject, place, direction, 0.0).estimate(self.subject.upstream, 1e-3)[0]
        claimed = float((gradient * direction).sum())
        if claimed and slope:
            yield f"it is {claimed / slope:.4g} times the right one", gradient * (slope / claimed)
        axis = self._axis_of(place)
        if axis is not None:
            yield "its timesteps are reversed", np.flip(gradient, axis)
            yield "it stands one timestep too late", _shifted(gradient, axis, -1)
            yield "it stands one timestep too early", _shifted(gradient, axis, 1)
        for count, labels, axis in self._blocks(place):
            for one, other in combinations(range(count), 2):
                order = list(range(count))
                order[one], order[other] = other, one
                parts = np.split(gradient, count, axis=axis)
                words = f"the gradients of gate blocks {labels[one]} and {labels[other]} are swapped"
                yield words, np.concatenate([parts[k] for k in order], axis=axis)

    def _axis_of(self, place: int) -> int | None:
        point = self.subject.points[place]
        for k, axis in self.axes.items():
            if point.ndim == self.subject.outputs[k].ndim and point.shape[axis] == self.time:
                return axis
        return None

    def _blocks(self, place: int) -> list[tuple[int, list[str], int]]:
        """Give the ways to see gate blocks in an argument: their number, their names and their axis."""
        point = self.subject.points[place]
        sizes = {output.shape[-1] for output in self.subject.outputs if output.ndim}
        sizes |= {output.shape[0] for output in self.subject.outputs if output.ndim == 2}
        found = []
        for axis in {point.ndim - 1, 0} if point.ndim and self._axis_of(place) is None else ():
            for count in (4, 3, 2):
                if any(point.shape[axis] == count * size for size in sizes):
                    letters = GATES.get(count, "")
                    found.append((count, [f"{k}" + (f" ({letters[k]}, where they are {letters})" if letters else "") for k in range(count)], axis))
                    break
        return found

    def _gates(self, place: int) -> str:
        gradient = self.subject.claimed[place]
        for count, labels, axis in self._blocks(place):
            size = self.subject.points[place].shape[axis] // count
            upstream, claimed = (self.subject.upstream, gradient) if self.time < 2 else self._late(place)
            bad = []
            for k in range(count):
                keep = (slice(None),) * axis + (slice(k * size, (k + 1) * size),)
                if self.is_wrong(place, keep, upstream, claimed):  # type: ignore[arg-type]
                    bad.append(k)
            if 0 < len(bad) < count:
                return f"gate block {', '.join(labels[k] for k in bad)} is wrong, the others are right"
        return ""

    def _late(self, place: int) -> tuple[Sequence[Array], Array | None]:
        """Take the earliest loss for which the argument is wrong: there the fewest other gates are touched by it."""
        for t in range(min(self.time, MOST)):
            upstream, claimed = self.of_step(t)
            if t and self.is_wrong(place, ..., upstream, claimed[place]):  # type: ignore[arg-type]
                return upstream, claimed[place]
        return self.of_step(0)[0], self.of_step(0)[1][place]

    def _steps(self, place: int, name: str) -> Iterator[str]:
        time, axis = min(self.time, MOST), self._axis_of(place)
        cells: set[tuple[int, int]] = set()
        for t in range(time):
            upstream, claimed = self.of_step(t)
            gradient = claimed[place]
            assert gradient is not None
            for k in range(t + 1) if axis is not None else (t,):
                keep = ... if axis is None else self._at(gradient.ndim, axis, k)
                if self.is_wrong(place, keep, upstream, gradient):
                    cells.add((t, k))
        yield (_over_time(name, {t for t, _ in cells}, time) if axis is None else _table(name, cells, time, self._nothing(place, cells)))

    def _nothing(self, place: int, cells: set[tuple[int, int]]) -> bool:
        """Whether nothing at all is claimed where something should be carried back."""
        axis = self._axis_of(place)
        some = [(t, k) for t, k in cells if t > k]
        parts = [self.of_step(t)[1][place][self._at(self.subject.points[place].ndim, axis, k)] for t, k in some]  # type: ignore[index, arg-type]
        return bool(some) and not any(part.any() for part in parts)


def _shifted(gradient: Array, axis: int, by: int) -> Array:
    moved = np.roll(gradient, by, axis)
    moved[_Look._at(gradient.ndim, axis, 0 if by > 0 else gradient.shape[axis] - 1)] = 0
    return moved


def _over_time(name: str, losses: set[int], time: int) -> str:
    """Say for losses at which steps the gradient of a weight or of an initial state is wrong."""
    if not losses:
        return f"{name}: right for a loss at any one step, and wrong for the sum: it is overwritten (=) where it must be added (+=)."
    first = min(losses)
    if losses == set(range(time)):
        return f"{name}: wrong for a loss at any step, the first included; look at one step's own backward."
    if losses == set(range(first, time)):
        return (
            f"{name}: right while the loss is at a step before {first}, wrong from there on: what comes from step {first} back "
            f"to {first - 1} is wrong, or steps are not added up (+=)."
        )
    return f"{name}: wrong for a loss at step {', '.join(map(str, sorted(losses)))} only; is the wrong cache used there?"


def _table(name: str, cells: set[tuple[int, int]], time: int, nothing: bool) -> str:
    """Say what a table of (loss at t, argument at k) shows: the diagonal is one step, what is off it is carried."""
    same, apart = {t for t, k in cells if t == k}, {(t, k) for t, k in cells if t > k}
    every: Callable[[int], set[tuple[int, int]]] = lambda m: {(t, k) for t in range(m, time) for k in range(m)}  # noqa: E731
    if not cells:
        return f"{name}: right for a loss at any one step, and wrong for the sum: it is overwritten (=) where it must be added (+=)."
    if len(same) == time:
        return f"{name}: wrong within every single step (a loss at step t, {name} at t); look at one step's own backward first."
    if not same and apart == {(t, k) for t in range(time) for k in range(t)}:
        cause = "the gradient carried from step t+1 is not added" if nothing else "what is carried from step t+1 to t is wrong"
        return f"{name}: right within a step, wrong over every step back: {cause}."
    if not same:
        at = next((m for m in range(1, time) if apart == every(m)), None)
        if at is None:
            nearest = min(t - k for t, k in apart)
            back = f"from {nearest} steps back on" if nearest > 1 else "over some steps back"
            return f"{name}: right within a step, wrong {back}: a part of what is carried is wrong."
        return f"{name}: right within each step, wrong once the gradient passes from step {at} to {at - 1}."
    return f"{name}: wrong within step {', '.join(map(str, sorted(same)))} only: is the wrong cache used there?"
