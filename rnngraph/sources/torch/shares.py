"""The loss of every step: what enters at the ports of a step without having passed another port.

In: a pass and its ports. Out: `Shares`. The shares of all steps add up to the whole loss, whatever lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.measure.recording import Losses
from rnngraph.sources.torch.by_step import note_norms
from rnngraph.sources.torch.clocks import Port, Ports
from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.joint import reads_many_steps
from rnngraph.sources.torch.passes import Pass
from rnngraph.sources.torch.question import ask, blocked, whole
from rnngraph.sources.torch.recurrence import Recurrence


@dataclass(slots=True)
class Shares:
    """What enters at every port."""

    ports: Ports
    at: dict[Edge, Any]
    clocks: Mapping[int, int]  # by the id of a recurrence
    batches: Mapping[int, int]  # by clock
    lengths: Mapping[int, int]
    joint: bool = False  # one loss reads many steps at once

    @staticmethod
    def of(
        run: Pass, ports: Ports, recurrences: Sequence[Recurrence], clocks: Sequence[int], batches: list[int]
    ) -> Shares:
        """Ask for all of them in one pass."""
        with blocked(ports.found):
            at = ask(run, whole(run), list(ports.found))
        alone = len({clocks[recurrences.index(ports.found[edge].recurrence)] for edge in at}) == 1
        joint = alone and reads_many_steps(run, ports.found, at, (max(one.steps for one in recurrences), max(batches)))
        return Shares(
            ports, at, {id(one): clock for one, clock in zip(recurrences, clocks, strict=True)},
            dict(zip(reversed(clocks), reversed(batches), strict=True)),
            {clock: one.steps for one, clock in zip(recurrences, clocks, strict=True)}, joint,
        )  # fmt: skip

    def clock(self, port: Port) -> int:
        """The clock of a port."""
        return self.clocks[id(port.recurrence)]

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        norms = {clock: np.zeros((self.lengths[clock], batch)) for clock, batch in sorted(self.batches.items())}
        for edge, share in self.at.items():
            port = self.ports.found[edge]
            note_norms(norms[self.clock(port)], port, share)
        pairs = [(clock, t) for clock, norm in norms.items() for t in np.flatnonzero((norm != 0).any(axis=1)).tolist()]
        if self.joint and pairs:
            pairs = pairs[-1:]
        steps, clocks = (np.array([pair[k] for pair in pairs], np.int64) for k in (1, 0))
        return Losses(steps, clocks, norms, self.joint)
