"""Measure gates: how open they are, how saturated, and the geometric mean of the gate that keeps the state.

In: `Window`s. Out: a `GateTrace` a gate.
"""

from __future__ import annotations

import numpy as np

from rnngraph.measure.recording import Facts, Reduced, Window, nothing
from rnngraph.trace.magnitudes import Booleans, Floats
from rnngraph.trace.model import GateTrace


class GateColumns:
    """The columns of a recurrence's gates under way."""

    def __init__(self, facts: Facts, valid: Booleans) -> None:
        """Start with nothing observed."""
        count, time = len(facts.cell.gates), facts.timesteps
        self.facts, self.valid = facts, valid
        self.mean, self.saturated = nothing((count, time)), nothing((count, time))
        self.logs, self.weight = np.zeros(0), 0
        self.keeping = facts.cell.gates.index(facts.cell.keeps) if facts.cell.keeps else -1

    def take(self, window: Window) -> None:
        """Measure a window."""
        if window.gates is None:
            return
        steps = window.steps
        gates = window.gates  # (steps, N, gates, H)
        totals = np.einsum("tngh->gt", gates, dtype=np.float64)
        self.mean[:, steps] = totals / (gates.shape[1] * gates.shape[3])
        if window.gates_saturated is not None:
            self.saturated[:, steps] = _shares(window.gates_saturated).T
        if self.keeping < 0:
            return
        usable = self.valid[:, steps].T
        kept = gates[:, :, self.keeping]
        block = kept.reshape(-1, kept.shape[-1]) if np.count_nonzero(usable) == usable.size else kept[usable]
        found = np.log(block.astype(np.float64, copy=False)).sum(axis=0)
        self.logs = found if not self.weight else self.logs + found
        self.weight += len(block)

    def take_reduced(self, reduced: Reduced) -> None:
        """Take what a source has measured."""
        if reduced.gates_mean is None or reduced.gates_saturated is None:
            return
        self.mean, self.saturated = reduced.gates_mean, reduced.gates_saturated
        if self.keeping >= 0 and reduced.kept is not None:
            self.logs, self.weight = reduced.kept, 1

    def traces(self) -> list[GateTrace]:
        """Give the traces; none where no gates were lent."""
        facts = self.facts
        if np.isnan(self.mean).all():
            return []
        unknown = nothing((len(self.logs),))
        return [
            GateTrace(
                f"{facts.name}.{gate}", facts.name, facts.layer, facts.direction, gate, self.mean[k],
                self.saturated[k], self.logs / self.weight if k == self.keeping and self.weight else unknown,
            )
            for k, gate in enumerate(facts.cell.gates)
        ]  # fmt: skip


def _shares(flags: Booleans) -> Floats:
    """Give the share of a gate's units in all samples, (steps, gates), of flags (steps, N, gates, H)."""
    _, samples, _, units = flags.shape
    # Of a step the numbers are added in as few bytes as hold them: many more at a time than as numbers of eight bytes.
    by_unit = flags.view(np.uint8).sum(axis=1, dtype=np.min_scalar_type(samples))
    return np.asarray(by_unit.sum(axis=2, dtype=np.int64) / (samples * units))
