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

    def __repr__(self) -> str:
        """Say in one sentence how much of the past is used."""
        longest = int(self.lags[-1])
        if self.in_use is None:
            return f"The network uses all of its past: {longest} steps of it are still worse than all."
        if self.in_use == 0:
            return f"The network uses none of its past: without any, the loss is worse by {100 * UNUSED:g} % at most."
        steps = "the step before it" if self.in_use == 1 else f"the last {self.in_use} steps before it"
        return f"The network uses {steps}: more of the past does not help."

    @property
    def excess(self) -> Floats:
        """What is lost with so much of the past, (K,)."""
        return self.kept - self.full
