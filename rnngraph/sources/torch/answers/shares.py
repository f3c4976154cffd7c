"""The loss of every step: what enters at the ports of a step without having passed another port.

In: a pass and its ports. Out: `Shares`. The shares of all steps add up to the whole loss, whatever lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.measure.recording import Losses
from rnngraph.sources.torch.answers.by_step import norms_at
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.one_pass import Pass
from rnngraph.sources.torch.autograd.question import ask, blocked, whole
from rnngraph.sources.torch.finding.clocks import Port
from rnngraph.sources.torch.finding.joint import reads_many_steps
from rnngraph.sources.torch.finding.recurrence import Recurrence
from rnngraph.trace.magnitudes import Floats


@dataclass(slots=True)
class Shares:
    """What enters at every port."""

    ports: Mapping[Edge, Port]
    at: dict[Edge, Any]
    clocks: Mapping[int, int]  # by the id of a recurrence
    norms: dict[int, Floats]  # by clock, (T, N)
    joint: bool = False  # one loss reads many steps at once

    @staticmethod
    def of(
        run: Pass,
        ports: Mapping[Edge, Port],
        recurrences: Sequence[Recurrence],
        clocks: Sequence[int],
        batches: Sequence[int],
    ) -> Shares:
        """Ask for all of them in one pass."""
        with blocked(ports):
            try:
                grown = ask(run, whole(run), list(ports), grow=True)
            except InputError:  # a function that is differentiated once and not twice
                grown = ask(run, whole(run), list(ports))
        at = {edge: one.detach() for edge, one in grown.items()}
        clock_of = {id(one): clock for one, clock in zip(recurrences, clocks, strict=True)}
        by_clock: dict[int, dict[Edge, Any]] = {clock: {} for clock in sorted(clocks)}
        for edge, share in at.items():
            by_clock[clock_of[id(ports[edge].recurrence)]][edge] = share
        shapes = {
            clock: (one.steps, batch)
            for clock, one, batch in zip(reversed(clocks), reversed(recurrences), reversed(batches), strict=True)
        }
        norms = {clock: norms_at(ports, some, shapes[clock]) for clock, some in by_clock.items()}
        entered = [norms[clock] for clock, some in by_clock.items() if some]
        joint = len(entered) == 1 and reads_many_steps(run, ports, grown, entered[0])
        return Shares(ports, at, clock_of, norms, joint)

    def clock(self, port: Port) -> int:
        """The clock of a port."""
        return self.clocks[id(port.recurrence)]

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        pairs = [
            (clock, t) for clock, norm in self.norms.items() for t in np.flatnonzero((norm != 0).any(axis=1)).tolist()
        ]
        if self.joint and pairs:
            pairs = pairs[-1:]
        steps, clocks = (np.array([pair[k] for pair in pairs], np.int64) for k in (1, 0))
        return Losses(steps, clocks, self.norms, self.joint)
