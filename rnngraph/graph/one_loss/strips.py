"""The strips under the graph: what is left of the one loss at every step, and how flat the sum over all losses is.

In: a trace and rows. Out: strips with a value a position of the time axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.graph.one_loss.view import Segment, Strip
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import REVERSE, StateTrace, Trace

FLAT = 4.0  # times the smallest that the largest may be


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
    return (one, *_sums(trace, trace.states[-1], available=trace.lags[0].available))


def _sums(trace: Trace, state: StateTrace, *, available: int) -> list[Strip]:
    found, grad = list[Strip](), state.grad.value
    if available > 1 and not np.isnan(grad).all():
        caption = _caption(grad, state)
        found.append(Strip(f"all {available} losses", f"‖∂L/∂{state.kind}‖, summed", grad, True, caption))
    weight = trace.recurrent_weight(trace.states[0])
    if weight is not None and not np.isnan(weight.steps.value).all():
        found.append(Strip(f"on {weight.name}", "what each step adds", weight.steps.value, True))
    return found


def _caption(grad: Floats, state: StateTrace) -> str:
    """Say in a sentence what the sum over all losses looks like, and that it says nothing about reach."""
    known = grad[~np.isnan(grad)]
    inner = known[len(known) // 20 : len(known) - len(known) // 20] if len(known) >= 20 else known
    early, late = (known[-1], known[0]) if state.direction == REVERSE else (known[0], known[-1])
    summed = "Summed over all losses"
    if inner.min() > 0 and inner.max() <= FLAT * inner.min():
        return f"{summed} it is flat (grey, linear): each step hears its own loss. That says nothing of reach."
    if late > 0 and early > FLAT * late:
        return f"{summed} it grows toward the start (grey, linear): the early steps hear all the later losses."
    return f"{summed}, ‖∂L/∂{state.kind}‖ (grey, linear)."
