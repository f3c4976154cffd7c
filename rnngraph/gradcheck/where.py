"""Where a gradient is wrong that no mistake explains: in which step, across which steps, for which losses, which gate.

In: a subject and the replay of what is right. Out: sentences. The loss is limited to one timestep after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.ops import DIVIDE, MEAN
from rnngraph.gradcheck.mistakes import Candidate, explains, gate_blocks, mistakes, off
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.subject import Subject

MOST = 8  # timesteps that are looked at one by one
ROUNDING = 1e3  # of a gradient, in units of the last place of its largest element
FEW = 2  # a factor of which has many reasons
CLOSE = 1e-5  # relative; a factor to a count, or a norm to a round one
Pair: TypeAlias = tuple[Sequence[Any], Mapping[int, Any]]  # claimed and right gradients of one loss, by place


class Look:
    """What is claimed beside what is right, of the whole loss and of losses that are limited to one timestep."""

    def __init__(self, subject: Subject, right: Replay) -> None:
        """Compare the whole, and find the axes of the timesteps, by output."""
        self.subject, self.right = subject, right
        self.starts = right.starts(subject.upstream)
        self.whole: Pair = subject.claimed, right.walked(self.starts)
        self.axes = self._time_axes()
        runs, entry = right.tape.recurrences if right.in_nodes else (), right.tape.entry
        states = [(one, entry(ids[0]).value.shape, len(ids)) for one in runs for ids in one.states.values()]
        self.states = {shape for _, shape, _ in states}
        self.units = {shape[0 if one.batch_axis == 1 else -1] for one, shape, _ in states if shape}
        self.counts = dict[str, float]()  # what a loss or a gradient may be divided by
        for one, shape, time in states:
            batch = shape[one.batch_axis] if shape and one.batch_axis is not None else 1
            self.counts |= {f"the {batch} samples": batch, f"the {time} steps": time}
            self.counts |= {f"the {batch} samples and {time} steps": batch * time} if batch > 1 else {}
        for node in right.nodes:  # what the forward divides by
            by = node.arguments[0].size / node.value.size if node.op is MEAN else 1.0
            if node.op is DIVIDE and node.arguments[1].size == 1 and entry(node.inputs[1]).op is CONSTANT:
                by = float(node.arguments[1].item())
            if by not in {1.0, *self.counts.values()}:
                self.counts[f"{by:g}, as the forward is"] = by

    def _time_axes(self) -> dict[int, int]:
        """Find the axes of the outputs along which what an argument holds at one place is felt at later ones alone."""
        found: dict[int, int] = {}
        upstream = self.subject.upstream
        for k, axis in [(k, axis) for k, one in enumerate(upstream) for axis in range(one.ndim) if one.ndim > 1]:
            early, late = (self.right.walked(self.right.starts(self._limited({k: axis}, t))) for t in (0, -1))
            for place, one in early.items():
                if one.ndim == upstream[k].ndim and one.shape[axis] == upstream[k].shape[axis] > 1:
                    first, last = np.moveaxis(one, axis, 0), np.moveaxis(late[place], axis, 0)
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
        sizes = [self.subject.outputs[k].shape[axis] for k, axis in self.axes.items()]
        limited = [self._limited(self.axes, t) for t in range(min([MOST, *sizes]) if sizes else 0)]
        points = self.subject.points
        return [(self.subject.gradients(points, one), self.right.walked(self.right.starts(one))) for one in limited]

    def is_wrong(self, pair: Pair, place: int, part: Any = ...) -> bool:
        """Tell what is wrong from what only rounds otherwise."""
        claimed, right = pair[0][place], pair[1][place]
        whole, size = (float(np.abs(one).max(initial=0.0)) for one in (right, right[part]))
        allowed = ROUNDING * float(np.finfo(self.subject.dtype).eps) * whole + 10 * self.subject.tolerance * size
        return not off(claimed[part], right[part]) <= allowed

    def alone(self, places: Collection[int], pair: Pair, known: Sequence[int] = ()) -> Iterator[Candidate]:
        """Give the mistakes that are told from one gradient alone."""
        for place in places:
            claimed, right = pair[0][place], pair[1][place]
            found = mistakes(claimed, right, self.units, self.time_of(place), lambda one: self._hint(one, known))
            yield from ((words, {place: made}) for words, made in found)
            for other in known:
                if other != place and pair[1][other].shape == right.shape:
                    yield f"it is the gradient of {self.subject.names[other]}", {place: pair[1][other]}

    def _hint(self, factor: float, places: Collection[int]) -> str:
        """Ask whether a factor is a division, or the norm of all gradients at some places a round one."""
        for words, times in (("not divided", factor), ("divided", 1 / (factor or np.inf))):
            fits = [(name, count) for name, count in self.counts.items() if abs(times / (count or 1) - 1) < CLOSE]
            by = [name for name, count in fits if count > FEW or "forward" in name]
            if by:
                return f": {words} by {', or '.join(by)}?"
        norm = float(np.sqrt(sum(float((self.subject.claimed[k] ** 2).sum()) for k in places)))
        clipped = 0 < factor < 1 and abs(norm - float(f"{norm:.2g}")) < CLOSE * norm
        return f": clipped to norm {norm:.2g}?" if clipped else ""

    def where(self, wrong: Sequence[int]) -> Iterator[str]:
        """Say where gradients are wrong: those with timesteps at which steps, or else each for which losses."""
        weights = [place for place in wrong if self.time_of(place) is None]
        timed, names, single = [place for place in wrong if place not in weights], self.subject.names, self.losses
        for place in timed or weights:
            said = self._over_time(place) if timed else self._by_loss(place)
            if said and len(single) > 1:
                yield sentence(names[place], said)
        learned = [place for place in weights if self.subject.points[place].shape not in self.states]
        bad = [names[place] for place in learned if timed and self.is_wrong(single[0], place)]
        if 0 < len(bad) < len(learned):
            yield sentence(", ".join(bad), "wrong for a loss at step 0 alone, where the other weights are right")
        for place in weights:
            pair = next((pair for pair in single if self.is_wrong(pair, place)), self.whole)
            yield from self._in_gates(place, pair)

    def _over_time(self, place: int) -> str:
        """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
        name, time, axis = self.subject.names[place], range(len(self.losses)), self.time_of(place) or 0
        cells = {(t, k) for t in time for k in time if self.is_wrong(self.losses[t], place, part_at(axis, k))}
        same, apart = sorted(t for t, k in cells if t == k), sorted((abs(t - k), t, k) for t, k in cells)
        if same:
            which = "every single step" if len(same) == len(time) else steps_said(same)
            hint = "" if len(same) > 1 else ": is another step's cache used there?"
            return f"wrong within {which} (a loss at a step, {name} at that step){hint}"
        if cells >= {(t, t - 1) for t in time[1:]}:
            return "right within a step, wrong over every step back: what is carried from step t+1 to t is wrong"
        passed = "right within a step, wrong once the gradient passes from step"
        return f"{passed} {apart[0][1]} to {apart[0][2]}" if apart else ""

    def _by_loss(self, place: int) -> str:
        """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
        losses = [t for t, pair in enumerate(self.losses) if self.is_wrong(pair, place)]
        if len(losses) == len(self.losses):
            return "wrong for a loss at any step, the first included: look at how one step forms it"
        carried = "what is carried is wrong, the steps are not added up (+=), or a factor is another step's"
        return f"wrong for a loss at {steps_said(losses)} alone: {carried}" if losses else ""

    def _in_gates(self, place: int, pair: Pair) -> Iterator[str]:
        """Say which gate blocks are wrong, where some are right, or which mistake is made there."""
        alone, shape = self.alone([place], pair), self.subject.points[place].shape
        known = [words for words, made in alone if explains(made[place], pair[0][place], pair[1][place])]
        for blocks in gate_blocks(shape, self.units) if len(shape) < 3 else ():  # data have none
            bad = [label for label, part in blocks.items() if self.is_wrong(pair, place, part)]
            if 0 < len(bad) < len(blocks):
                right = [label for label, part in blocks.items() if label not in bad and pair[1][place][part].any()]
                others = "the others" if len(bad) + len(right) == len(blocks) else ", ".join(right)  # zero says nothing
                words = f"gate block{'s' * (len(bad) > 1)} {', '.join(bad)} wrong" + f", {others} right" * bool(right)
                yield sentence(self.subject.names[place], [*known, words][0])


def sentence(name: str, words: str) -> str:
    """Say something of gradients."""
    return f"{name}: {words}{'' if words.endswith('?') else '.'}"


def steps_said(some: Collection[int]) -> str:
    """Name some steps."""
    return f"step{'s' * (len(some) > 1)} {', '.join(map(str, sorted(some)))}"


def part_at(axis: int, t: int) -> tuple[Any, ...]:
    """Give the index of one timestep."""
    return (*(slice(None),) * axis, t)
