"""Which timesteps bear a loss: a step that bears none has no circle.

In: a trace. Out: booleans. A loss stands where a gradient enters what the topmost layers give upwards; the inner state
of a cell has a part of its own at every step, and padding has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.graph.build.fold import valid_samples
from rnngraph.graph.one_loss.view import Segment
from rnngraph.trace.magnitudes import Booleans, Status
from rnngraph.trace.model import StateTrace, Trace


def loss_steps(trace: Trace) -> Booleans:
    """Say which timesteps bear a loss, `(T,)`: a gradient enters from above; where none was measured, a known part."""
    known = ~np.isnan(trace.loss_steps) & (valid_samples(trace, 0, trace.timesteps) > 0)
    return np.where(_measured(trace), entering(trace), known)


def entering(trace: Trace, clock: int | None = None) -> Booleans:
    """Say at which timesteps a gradient enters the topmost layers, of one clock or of all."""
    bears = np.zeros(trace.timesteps, bool)
    for state in _outputs(trace, clock):
        felt = np.isin(state.immediate.status, (Status.OK, Status.UNDERFLOW, Status.NONFINITE))
        one = trace.recurrence_of(state)
        felt[: one.timesteps] &= one.valid.any(axis=0)
        bears |= felt
    return bears


def bearing(trace: Trace, segments: Sequence[Segment]) -> Booleans:
    """Say where a loss stands on the time axis."""
    lags = trace.lags[0]
    found = np.zeros(segments[-1].stop, bool)
    for segment in segments:
        measured = lags.losses[lags.clocks == segment.clock]
        found[segment.start + measured] = True
        if measured.size and len(measured) < lags.available:  # only some were taken
            own = entering(trace, segment.clock)[: segment.timesteps]
            found[segment.start : segment.start + len(own)] |= own
    return found


def _outputs(trace: Trace, clock: int | None = None) -> list[StateTrace]:
    """List what the topmost layers give upwards: of each recurrence the first of its cell's states."""
    recurrences = [one for one in trace.recurrences if clock is None or one.clock == clock]
    top = max((one.layer for one in recurrences), default=0)
    found = []
    for one in recurrences:
        own = {state.kind: state for state in trace.states_of(one)}
        if one.layer == top and own:
            found.append(own[next((kind for kind in trace.cell_of(one).kinds if kind in own), next(iter(own)))])
    return found


def _measured(trace: Trace) -> Booleans:
    measured = np.zeros(trace.timesteps, bool)
    for state in _outputs(trace):
        measured |= state.immediate.status != Status.UNOBSERVED
    return measured
