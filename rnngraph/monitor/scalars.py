"""A measurement in a few numbers, for whatever draws curves over a training.

In: a trace. Out: finite numbers by names such as `rnngraph/lstm_l1/reach`; what was not measured is left out.
"""

from __future__ import annotations

import math

from rnngraph.diagnosis.diagnose import network_in
from rnngraph.diagnosis.network import own_path
from rnngraph.trace.model import Trace

PREFIX = "rnngraph"


def scalars(trace: Trace, horizon: int | None) -> dict[str, float]:
    """Sum up every recurrence of a trace.

    `reach` is the last lag at which 1 % of the gradient is left, `half_life` the steps in which it halves, `gain` what
    is left at the horizon and `peak` the most up to there, in decades, and `saturated` the share of such units.
    A sequence that is shorter than the horizon tells neither `gain` nor `peak`.

    Raises:
        InputError: the trace has no lags or no gradients.
    """
    within = horizon if horizon is not None and horizon < trace.timesteps else None
    found: dict[str, float] = {}
    for layer in network_in(trace, horizon=within).layers:
        path = own_path(layer)
        values = {"reach": path.reach, "half_life": layer.half_life, "saturated": layer.saturated}
        if horizon is None or path.horizon == horizon:
            values |= {"gain": path.decades, "peak": layer.peak}
        found |= {name_of(layer.name, key): float(one) for key, one in values.items() if one is not None}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def name_of(recurrence: str, key: str) -> str:
    """Give the name of a number."""
    return f"{PREFIX}/{recurrence}/{key}"
