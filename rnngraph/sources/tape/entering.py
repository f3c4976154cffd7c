"""What the loss tells every recurrence directly: the gradients that enter it without having passed another.

In: a tape and the cotangents of its loss. Out: an `Entering`. The loss of a step is what enters at that step of a
clock, so that the whole gradient is the sum over steps of what each carries back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.banding import by_sample
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.given import Given, gather
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.autodiff.tape import Tape
from rnngraph.norms import row_norms
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.facts import blocks_of, states_of
from rnngraph.trace.magnitudes import Floats, Integers


class Enters(Protocol):
    """What enters a tape, a row a loss."""

    def rows(
        self, rows: list[tuple[int, int]], samples: Mapping[int, Integers], window: tuple[int, int] | None = None
    ) -> dict[int, list[Cotangents]]:
        """Give what enters in some rows, for the chosen samples; within a window of steps."""


@dataclass(slots=True)
class Entering:
    """Gradients that enter: into blocks by entry id, into states that are nodes by node id; and norms by clock."""

    tape: Tape
    clocks: Clocks
    blocks: dict[int, tuple[int, Given]] = field(default_factory=dict)  # entry id -> (recurrence, what reaches it)
    nodes: dict[int, tuple[int, int, Array]] = field(
        default_factory=dict
    )  # node id -> (recurrence, timestep, gradient)
    norms: dict[int, Floats] = field(default_factory=dict)  # clock -> (T, N)
    joint: bool = False  # all that enters is one loss, which reads many steps at once

    def add(self, number: int, steps: int | slice, norms: Floats) -> None:
        """Add norms, (N,) or (steps, N), to those of a clock; a sum of squares would underflow."""
        time, clock = self.tape.recurrences[number].timesteps, self.clocks.of(number)
        total = self.norms.setdefault(clock, np.zeros((time, norms.shape[-1])))
        total[steps] = np.hypot(total[steps], norms)

    def rows(
        self, rows: list[tuple[int, int]], samples: Mapping[int, Integers], window: tuple[int, int] | None = None
    ) -> dict[int, list[Cotangents]]:
        """Give what enters in each of the rows, (clock, timestep), for the chosen samples; within a window of steps."""
        found: dict[int, list[Cotangents]] = {}
        place = {row: number for number, row in enumerate(rows)}
        for entry_id, (recurrence, given) in self.blocks.items():
            clock = self.clocks.of(recurrence)
            some = found.setdefault(entry_id, [])
            steps = given.steps() if self.joint else [row[1] for row in place if row[0] == clock]
            for t in steps:
                number = 0 if self.joint else place[clock, t]
                if window is None or window[0] <= t < window[1]:
                    some.extend(_of_step(given, t, number, samples[given.block.sample_count]))
        for node_id, (recurrence, t, gradient) in self.nodes.items():
            number = 0 if self.joint else place.get((self.clocks.of(recurrence), t), -1)
            if number >= 0:
                one = self.tape.recurrences[recurrence]
                chosen = _only(gradient, one.batch_axis, samples)[None].astype(np.float64)
                found.setdefault(node_id, []).append(Cotangents(chosen, number, 1))
        return found


def _of_step(given: Given, t: int, row: int, samples: Integers) -> list[Cotangents]:
    arrived = [] if given.output is None else [("h", given.output[t])]
    arrived += [(kind, single[t]) for kind, single in given.single.items() if t in single]
    return [
        Cotangents(StateSlice(kind, t, rows[None, samples].astype(np.float64)), row, 1, narrow=True)
        for kind, rows in arrived
        if rows[samples].any()
    ]


def _only(gradient: Array, axis: int | None, samples: Mapping[int, Integers]) -> Array:
    if axis is None:
        return gradient
    kept = np.zeros(gradient.shape[axis], bool)
    kept[samples[gradient.shape[axis]]] = True
    shape = [1] * gradient.ndim
    shape[axis] = -1
    return np.where(kept.reshape(shape), gradient, 0)


def find_entering(tape: Tape, starts: Mapping[int, Contribution], clocks: Clocks) -> Entering:
    """Walk from the loss to the first recurrence on every way, and keep what arrives."""
    found = Entering(tape, clocks)
    blocks, nodes = blocks_of(tape), states_of(tape)
    for step in sweep(tape, starts, until={*blocks, *nodes}):
        entry = step.node
        if isinstance(entry, Block):
            number, given = blocks[entry.id], gather(entry, step.contributions)
            found.blocks[entry.id] = number, given
            if given.output is not None:
                found.add(number, slice(None), row_norms(given.output))
            for single in given.single.values():
                for t, one in single.items():
                    found.add(number, t, row_norms(one))
        elif entry.id in nodes:
            number, _, t = nodes[entry.id]
            gradient = np.array(step.gradient)
            found.nodes[entry.id] = number, t, gradient
            found.add(number, t, row_norms(by_sample(gradient[None], tape.recurrences[number].batch_axis)[0]))
    return found
