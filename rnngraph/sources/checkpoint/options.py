"""What is made of a checkpoint: the loss on its tape, with sentences that say what was found in the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnngraph.autodiff.tensor import Tensor
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions
    from rnngraph.measure.trial import Trial

LOSSES = ("last", "sum", "mean", "every")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loss on its tape, what was found in the file, what is wrong with it, and what a reader must know of it."""

    source: str
    loss: Tensor
    found: tuple[str, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should be told."""
        return (*self.found, *self.notes, *(f"warning: {finding}" for finding in self.findings))

    def run(self, *, lags: LagOptions | bool = False, spectrum: int = 0) -> tuple[Trace, Trial]:
        """Record it, and give who runs it again with other weights; see `rnngraph.record`."""
        from rnngraph.sources.tape.record import record, trial

        trace = record(self.loss, lags=lags, spectrum=spectrum, source=self.source)
        notes = (*trace.notes, self.found[-1], *self.notes, *self.findings)
        return replace(trace, notes=notes), trial(self.loss)
