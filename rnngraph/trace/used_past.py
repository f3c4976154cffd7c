"""How much of the past a trained network uses: the loss where only so many steps before it are kept, as data."""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.trace.magnitudes import Floats, Integers

UNUSED = 0.01  # of the loss: where no reset costs more, none of the past is in use


@dataclass(frozen=True, slots=True)
class ContextTrace:
    """The loss over kept context: `kept[i]` where the state is reset `lags[i]` steps before the loss."""

    model: str
    timesteps: int
    lags: Integers  # (K,) ascending; 0 keeps the step of the loss alone
    kept: Floats  # (K,) mean loss of a step with so much of the past
    full: Floats  # (K,) mean loss of the same steps with all of it
    counts: Integers  # (K,) losses of a sample and step that were taken
    in_use: int | None  # the least lag from which on the loss is near the full one; None where none is
    tolerance: float  # near: this share of the largest excess

    @property
    def excess(self) -> Floats:
        """What is lost with so much of the past, (K,)."""
        return self.kept - self.full
