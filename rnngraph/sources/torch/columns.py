"""Columns of states under way: what is taken of every step, and the first that is not finite.

In: tensors of a step. Out: `Reduced` columns, and where in the run a number was not finite for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.measure.recording import Reduced
from rnngraph.sources.torch.row_norms import norm, sample_norms


@dataclass(slots=True)
class Broken:
    """The first state in the forward pass that is not finite, and the first gradient in the backward pass."""

    value: tuple[tuple[int, int], int, str, int] | None = None  # when, track, kind, timestep
    gradient: tuple[tuple[int, int], int, str, int] | None = None

    def forward(self, when: tuple[int, int], number: int, kind: str, t: int) -> None:
        """Note a value that is not finite."""
        if self.value is None or when < self.value[0]:
            self.value = when, number, kind, t

    def backward(self, when: tuple[int, int], number: int, kind: str, t: int) -> None:
        """Note a gradient that is not finite."""
        if self.gradient is None or when > self.gradient[0]:
            self.gradient = when, number, kind, t


class Columns:
    """The columns of one state under way."""

    def __init__(self, time: int, batch: int) -> None:
        """Start with nothing observed."""
        self.samples = np.zeros((time, batch))
        self.carried, self.immediate = np.zeros(time), np.zeros(time)
        self.zeros, self.nonfinite = np.zeros(time, np.int64), np.zeros(time, np.int64)
        self.activation = np.full(time, np.nan)

    def see(self, t: int, total: Any, carried: Any, immediate: Any, value: Any) -> None:
        """Measure one step: tensors (samples, units), or None where there is nothing."""
        if total is not None:
            found = sample_norms(total)
            self.samples[t, : len(total)] = found
            self.zeros[t] = total.numel() - int(total.count_nonzero())
            if np.isnan(found).any():
                self.nonfinite[t] = int((~total.isfinite()).sum())
        if carried is not None:
            self.carried[t] = norm(carried)
        if immediate is not None:
            self.immediate[t] = norm(immediate)
        if value is not None:
            self.activation[t] = norm(value) / np.sqrt(value.numel())

    def reduced(self, number: int, kind: str, gates: Any) -> Reduced:
        """Give the columns."""
        more = (None, None, None, None) if gates is None else (gates.state, gates.mean, gates.share, gates.kept)
        return Reduced(
            number, kind, self.samples, self.immediate, self.carried, self.zeros, self.nonfinite, self.activation, *more
        )
