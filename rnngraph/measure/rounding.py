"""Tell a carried gradient that rounding made zero from one that is truly zero.

In: the gradients of one state as they are measured, a few timesteps at a time. Out: their statuses, corrected in place
from `ZERO` to `UNDERFLOW`. What lies before such a gradient in other states is followed in `underflow`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans, Floats, Magnitudes, Status
from rnngraph.trace.model import FORWARD

_ZERO, _UNDERFLOW = int(Status.ZERO), int(Status.UNDERFLOW)


class Rounding:
    """The steps of one state that were carried a zero although the step processed next has a gradient."""

    def __init__(self, tape: Tape, recurrence: Recurrence, ids: Sequence[int]) -> None:
        """Start with no such step; `ids` are the state's nodes by timestep."""
        self.tape, self.recurrence, self.ids = tape, recurrence, ids
        self._suspects: dict[int, tuple[int, Array]] = {}  # t -> (step processed next, its gradient)

    def suspect(
        self,
        times: Sequence[int],
        totals: Array,
        *,
        before: tuple[int, Array] | None,
        carried: Floats,
        samples: Floats,
    ) -> None:
        """Keep what is needed to judge the zeros among `carried`, (T,).

        Args:
            times: timesteps in the order in which they are processed back.
            totals: their gradients.
            before: the timestep and gradient that came before them.
            carried: norms of what is carried, of all timesteps.
            samples: norms by sample, (T, N).
        """
        for t, total in zip(times, totals, strict=True):
            if before is not None and carried[t] == 0 and samples[before[0]].any():
                self._suspects[t] = (before[0], before[1].copy())
            before = (t, total)

    def correct(self, grad: Magnitudes, carried: Magnitudes, cut: Booleans) -> None:
        """Mark the zeros that rounding made, and what follows from them."""
        lost = (carried.status == _ZERO) & ~self._after_end(cut)
        if not lost.any():
            return
        time, ahead = len(self.ids), 1 if self.recurrence.direction == FORWARD else -1
        for t in range(time - 2, -1, -1) if ahead > 0 else range(1, time):
            if not lost[t]:
                continue
            if grad.status[t + ahead] == _UNDERFLOW or (t in self._suspects and self._underflowed(t)):
                carried.status[t] = _UNDERFLOW
                if grad.status[t] == _ZERO:
                    grad.status[t] = _UNDERFLOW

    def _after_end(self, cut: Booleans) -> Booleans:
        """Mark the steps to which nothing can be carried: the last one processed, and those before a cut."""
        ended = np.empty_like(cut)
        if self.recurrence.direction == FORWARD:
            ended[:-1], ended[-1] = cut[1:], True
        else:
            ended[1:], ended[0] = cut[:-1], True
        return ended

    def _underflowed(self, t: int) -> bool:
        following, gradient = self._suspects[t]
        return self.vanishes(self.ids[following], self.ids[t], gradient)

    def vanishes(self, start: int, end: int, gradient: Array) -> bool:
        """Tell rounding from truth: a vjp is linear, so a cotangent scaled up to 1 shows what rounding hid."""
        node = self.tape.nodes[start]
        largest = float(np.abs(gradient).max())
        if not math.isfinite(largest):
            return False
        scaled = np.ldexp(gradient, -math.frexp(largest)[1]).reshape(node.value.shape)
        for step in sweep(self.tape, {start: scaled}, wanted=range(end, start + 1)):
            if step.node.id == end and np.any(step.gradient):
                return True
        # tanh' is never zero: where 1 - h² is, the hidden state was rounded to ±1.
        rounded = (np.abs(node.value) == 1) & (scaled != 0)
        return self.recurrence.cell == "tanh" and bool(rounded.any()) and bool(np.any(node.arguments[-1]))
