"""The strips under the graph: what is left of the one loss at every step, and how flat the sum over all losses is.

In: a trace and rows. Out: strips with a value a position of the time axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.graph.one_loss.view import Segment, Strip
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import REVERSE, Trace

FLAT, GROWN = 2.0, 4.0  # times the smallest that the largest is of a flat sum, and the late steps that the early are


def find_strips(trace: Trace, joined: OneLoss, segments: Sequence[Segment]) -> tuple[Strip, ...]:
    """Make the strip of the loss, and where there is one recurrence alone those that it corrects.

    Args:
        trace: what was recorded.
        joined: the loss, walked back over a row a layer.
        segments: of the time axis.
    """
    total = segments[-1].stop
    left, starts = np.full(total, np.nan), {segment.clock: segment.start for segment in segments}
    tops = {clock: max(walk.recurrence.layer for walk in joined.walks if walk.recurrence.clock == clock)
            for clock in {walk.recurrence.clock for walk in joined.walks}}  # fmt: skip
    for walk in joined.walks:
        if walk.recurrence.layer == tops[walk.recurrence.clock]:
            start = starts[walk.recurrence.clock]
            own = slice(start, start + walk.recurrence.timesteps)
            left[own] = np.fmax(left[own], walk.over_time())
    layers = len({walk.recurrence.layer for walk in joined.walks}) > 1
    one = Strip("this loss alone", "top layer" if layers else "what is left", left, False)
    if len(trace.recurrences) > 1 or len(segments) > 1:
        return (one,)
    return (one, *_sums(trace, joined))


def _sums(trace: Trace, seen: OneLoss) -> Iterator[Strip]:
    found, weight = sum_of(trace, seen), trace.recurrent_weight(trace.states[0])
    if found is not None:
        kinds = ", ".join(state.kind for state in trace.states)
        norm = f"‖∂L/∂{kinds}‖" if len(trace.states) == 1 else f"‖∂L/∂({kinds})‖"
        caption = "Summed over all losses " + (
            "it is flat (grey, linear): each step hears its own loss. That says nothing of reach."
            if found.flat
            else "it grows toward the start (grey, linear): the early steps hear all the later losses."
            if found.grows
            else f"(grey, linear): {norm}."
        )
        yield Strip(f"all {found.losses} losses", f"{norm}, summed", found.values, True, caption)
    if weight is not None and not np.isnan(weight.steps.value).all():
        yield Strip(f"on {weight.name}", "what each step adds", weight.steps.value, True)


@dataclass(frozen=True, slots=True)
class Sum:
    """The norm of the gradient of all losses at every step, over the states of the layer that the loss enters."""

    name: str
    losses: int
    values: Floats  # (own T,) NaN where it is not known
    reverse: bool

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest of the steps that get any."""
        known = self.values[self.values > 0]
        return float(known.min()), float(known.max())

    @property
    def flat(self) -> bool:
        """Whether it hardly varies; of what varies by less nothing can be read. Either end may have few losses."""
        known = self.values[~np.isnan(self.values)]
        few = len(known) // 20
        inner = known[few : len(known) - few]
        return bool(inner.min() > 0 and inner.max() < FLAT * inner.min())

    @property
    def grows(self) -> bool:
        """Whether the steps that are walked to last have much more than those that are walked to first."""
        known = self.values[~np.isnan(self.values)]
        early, late = known[[-1, 0]] if self.reverse else known[[0, -1]]
        return bool(early > GROWN * late > 0)


def sum_of(trace: Trace, seen: OneLoss) -> Sum | None:
    """Add up what all losses bring to the states of the topmost row; None where it is one loss, or nothing is known."""
    available = trace.lags[0].available
    if not seen.walks or available < 2 or seen.joint:
        return None
    top = seen.downwards[0].recurrence
    names = [one.name for one in trace.recurrences if (one.clock, one.layer) == (top.clock, top.layer)]
    states = [state for state in trace.states if state.recurrence in names]
    grads = np.stack([state.grad.value[: top.timesteps] for state in states])
    known = np.isfinite(grads)
    with np.errstate(over="ignore"):
        values = np.hypot.reduce(np.where(known, grads, 0.0))
    values[~known.any(axis=0) | ~top.valid.any(axis=0)] = np.nan
    found = Sum(states[0].name if len(states) == 1 else names[0], available, values, top.direction == REVERSE)
    return found if (values > 0).sum() > 1 else None
