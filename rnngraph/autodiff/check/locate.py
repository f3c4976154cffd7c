"""Say where a hand-written gradient is wrong: in which step, across which steps, in which gate, and by which mistake.

In: a subject and its wrong arguments. Out: sentences. Each is measured: the loss is limited to one timestep, the
direction to a part of an argument, and a mistake is named only where mending it makes the gradient right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from rnngraph.autodiff.check.by_length import MOST, by_length
from rnngraph.autodiff.check.slopes import STEPS, Line
from rnngraph.autodiff.check.subject import TOLERANCES, Subject
from rnngraph.autodiff.contribution import Array

GATES = {2: "rz", 3: "rzn", 4: "ifog"}  # the usual names of blocks; they are numbered too, since orders differ
OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."


def locate(subject: Subject, wrong: Sequence[int], generator: np.random.Generator) -> tuple[str, ...]:
    """Say where the gradients of the wrong arguments are wrong."""
    if not wrong:
        return ()
    with np.errstate(all="ignore"):
        look = Look(subject, generator)
        return tuple(look.sentences(wrong))


class Look:
    """One look at a subject: which axis is time, and what is claimed for a loss at one step."""

    def __init__(self, subject: Subject, generator: np.random.Generator) -> None:
        """Find the timesteps."""
        self.subject, self.generator = subject, generator
        self.axes = {k: axis for k, out in enumerate(subject.outputs) if (axis := self._time_axis(out)) is not None}
        self.time = min(MOST, max([subject.outputs[k].shape[axis] for k, axis in self.axes.items()], default=0))
        self._by_step: dict[int, tuple[list[Array], list[Array | None]]] = {}

    def _time_axis(self, output: Array) -> int | None:
        """Find the axis along which what an argument holds at one place is felt at later ones."""
        for axis, place in [(axis, place) for axis in (1, 0) for place in self.subject.floating()]:
            point = self.subject.points[place]
            if point.ndim != output.ndim or output.ndim < 2 + axis or not point.shape[axis] == output.shape[axis] > 1:
                continue
            direction = np.zeros_like(point)
            direction[_at(axis, 0)] = self.subject.direction(place, self.generator)[_at(axis, 0)]
            felt = next(one for one in self.subject.moved(place, direction, 1.0) if one.shape == output.shape) - output
            if np.moveaxis(felt, axis, 0)[1:].any():
                return axis
        return None

    def of_step(self, t: int) -> tuple[list[Array], list[Array | None]]:
        """Give an upstream gradient that is limited to one step, and what is claimed for it."""
        if t not in self._by_step:
            upstream = [np.zeros_like(one) for one in self.subject.upstream]
            for k, axis in self.axes.items():
                upstream[k][_at(axis, t)] = self.subject.upstream[k][_at(axis, t)]
            self._by_step[t] = upstream, self.subject.gradients(self.subject.points, upstream)
        return self._by_step[t]

    def is_wrong(self, place: int, keep: Any, upstream: Sequence[Array], gradient: Array | None) -> bool:
        """Whether a gradient is wrong along directions that are limited to a part of the argument."""
        assert gradient is not None
        small = 1e-7 * float(np.abs(gradient).max(initial=0.0))
        for _ in range(2):
            direction = np.zeros_like(self.subject.points[place])
            direction[keep] = self.subject.direction(place, self.generator)[keep]
            line = Line(self.subject, place, direction, 10 * TOLERANCES[self.subject.dtype])
            found = line.compare(upstream, gradient, STEPS if self.subject.dtype == "float64" else (1e-2, 5e-3))
            if found.resolved and not found.passed and abs(found.analytic - found.numeric) > small:
                return True
        return False

    def time_of(self, place: int) -> int | None:
        """Give the axis of the timesteps of an argument."""
        point = self.subject.points[place]
        for k, axis in self.axes.items():
            if point.ndim == self.subject.outputs[k].ndim and point.shape[axis] == self.subject.outputs[k].shape[axis]:
                return axis
        return None

    def sentences(self, wrong: Sequence[int]) -> Iterator[str]:
        """Say everything: of an argument over time first, since what is wrong there is wrong in the weights too."""
        names, left = self.subject.names, list(wrong)
        right = [names[k] for k in self.subject.floating() if k not in wrong]
        if right:
            yield f"wrong: {', '.join(names[k] for k in wrong)}; right: {', '.join(right)}."
        for place in wrong:
            mistake = self.mistake(place, self.subject.upstream, self.subject.claimed[place])
            if mistake:
                left.remove(place)
                yield f"{names[place]}: {mistake}."
        yield from by_length(self, left) if self.time < 2 else ()
        timed = [place for place in left if self.time_of(place) is not None]
        for place in timed:
            yield from self.over_time(place, left)
        for place in left if not timed else ():
            if self.time > 1:
                yield self.by_loss(place, any(self.time_of(k) is not None for k in self.subject.floating()))
            yield from self.gates(self, place, self.subject.upstream, self.subject.claimed[place])

    def mistake(self, place: int, upstream: Sequence[Array], gradient: Array | None) -> str:
        """Name the mistake of which the mending makes the gradient right."""
        assert gradient is not None
        if not gradient.any():
            return "the gradient is zero throughout: it is not computed, or overwritten"
        for words, mended in self._mendings(place, upstream, gradient):
            if not np.array_equal(mended, gradient) and not self.is_wrong(place, ..., upstream, mended):
                return words
        return ""

    def _mendings(self, place: int, upstream: Sequence[Array], gradient: Array) -> Iterator[tuple[str, Array]]:
        direction = self.subject.direction(place, self.generator)
        slope = Line(self.subject, place, direction, 0.0).estimate(upstream, 1e-3)[0]
        claimed = float((gradient * direction).sum())
        if claimed and slope:
            factor = claimed / slope
            words = "the sign is wrong" if abs(factor + 1) < 1e-4 else f"it is {factor:.4g} times the right one"
            yield words, gradient / factor
        if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1]:
            yield "it is transposed", gradient.T
        axis = self.time_of(place)
        if axis is not None:
            yield "its timesteps are reversed", np.flip(gradient, axis)
            for by, words in ((-1, "late"), (1, "early")):
                moved = np.roll(gradient, by, axis)
                yield f"it stands one timestep too {words}", moved
        for labels, at in self._blocks(place):
            for one, other in combinations(range(len(labels)), 2):
                parts = np.split(gradient, len(labels), axis=at)
                parts[one], parts[other] = parts[other], parts[one]
                yield f"the gate blocks {labels[one]} and {labels[other]} are swapped", np.concatenate(parts, axis=at)

    def _blocks(self, place: int) -> Iterator[tuple[list[str], int]]:
        """Give the ways to see gate blocks in an argument: their names and their axis."""
        point = self.subject.points[place]
        sizes = {output.shape[-1] for output in self.subject.outputs if output.ndim > 1}
        for at in {point.ndim - 1, 0} if point.ndim and self.time_of(place) is None else ():
            count = next((n for n in (4, 3, 2) if any(point.shape[at] == n * size for size in sizes)), 0)
            if count:
                yield [f"{k} ({GATES[count][k]} of {', '.join(GATES[count])})" for k in range(count)], at

    def still(self) -> Look | None:
        """Look at the same with recurrent weights of zero, where a step is felt at an earlier one by its cell alone."""
        sizes = {output.shape[-1] for output in self.subject.outputs if output.ndim > 1}
        held = [
            one.ndim == 2 and any(one.shape in ((n, k * n), (k * n, n)) for n in sizes for k in (1, 3, 4))
            for one in self.subject.points
        ]
        if not any(held) or all(held):
            return None
        points = [np.zeros_like(one) if zero else one for one, zero in zip(self.subject.points, held, strict=True)]
        return self.like(self.subject.at(points))

    def like(self, subject: Subject) -> Look:
        """Look at another point."""
        look = Look.__new__(Look)
        look.subject, look.generator, look._by_step = subject, self.generator, {}
        look.axes, look.time = self.axes, self.time
        return look

    def table(self, place: int, axis: int, losses: Sequence[int]) -> set[tuple[int, int]]:
        """Find the (loss at t, argument at k) of which the gradient is wrong."""
        return {
            (t, k)
            for t in losses
            for k in range(t + 1)
            if self.is_wrong(place, _at(axis, k), self.of_step(t)[0], self.of_step(t)[1][place])
        }

    def over_time(self, place: int, wrong: Sequence[int]) -> Iterator[str]:
        """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
        name, axis, time = self.subject.names[place], self.time_of(place), self.time
        assert axis is not None
        cells = self.table(place, axis, range(time))
        same, apart = {t for t, k in cells if t == k}, {(t, k) for t, k in cells if t > k}
        still = self.still()
        if not cells:
            yield f"{name}: {OVERWRITTEN}"
        elif same:
            which = "every single step" if len(same) == time else f"step {', '.join(map(str, sorted(same)))}"
            hint = "" if len(same) > 1 else ": is another step's cache used there?"
            yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint or '.'}"
            at = min(same)
            if still is not None and len(same) > 1:
                upstream, claimed = still.of_step(at)
                for other in wrong:
                    yield from self.gates(still, other, upstream, claimed[other])
        else:
            ways = ""
            if still is not None:
                through_cell = still.table(place, axis, [t for t, _ in sorted(apart)[:1]])
                ways = ", by the cell state" if through_cell else ", by the hidden state"
            steps = [m for m in range(1, time) if apart == {(t, k) for t in range(m, time) for k in range(m)}]
            parts = [self.of_step(t)[1][place][_at(axis, k)] for t, k in apart]  # type: ignore[index]
            if apart == {(t, k) for t in range(time) for k in range(t)}:
                cause = "is wrong" if any(part.any() for part in parts) else "is not added"
                carried = f"what is carried from step t+1 to t{ways} {cause}"
                yield f"{name}: right within a step, wrong over every step back: {carried}."
            elif steps:
                passes = f"once the gradient passes from step {steps[0]} to {steps[0] - 1}{ways}"
                yield f"{name}: right within a step, wrong {passes}."
            else:
                yield f"{name}: right within a step, wrong from {min(t - k for t, k in apart)} steps back on{ways}."

    def by_loss(self, place: int, known: bool) -> str:
        """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
        name, time = self.subject.names[place], self.time
        losses = {t for t in range(time) if self.is_wrong(place, ..., *(self.of_step(t)[0], self.of_step(t)[1][place]))}
        reaches = " What reaches every step is right, since the gradients over time are." if known else ""
        if not losses:
            return f"{name}: {OVERWRITTEN}"
        first = min(losses)
        if losses == set(range(time)):
            return f"{name}: wrong for a loss at any step, the first included: look at how one step forms it.{reaches}"
        if losses == set(range(first, time)):
            rule = "the steps are not added up (+=), or a factor is another step's"
            return f"{name}: right for a loss before step {first}, wrong from there on: {rule}.{reaches}"
        steps = ", ".join(map(str, sorted(losses)))
        return f"{name}: wrong for a loss at step {steps} only: is another step's cache used?{reaches}"

    def gates(self, look: Look, place: int, upstream: Sequence[Array], gradient: Array | None) -> Iterator[str]:
        """Say which gate blocks are wrong, where some are right."""
        name = self.subject.names[place]
        for labels, at in look._blocks(place):
            size = self.subject.points[place].shape[at] // len(labels)
            bad = [
                k for k in range(len(labels))
                if look.is_wrong(place, (*(slice(None),) * at, slice(k * size, (k + 1) * size)), upstream, gradient)
            ]  # fmt: skip
            if 0 < len(bad) < len(labels):
                mistake = look.mistake(place, upstream, gradient) if len(bad) == 2 else ""
                blocks = f"gate block{'s' * (len(bad) > 1)} {', '.join(labels[k] for k in bad)}"
                yield f"{name}: {mistake or f'{blocks} wrong, the others right'}."


def _at(axis: int, t: int) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, t)
