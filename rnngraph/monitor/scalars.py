"""A measurement in a few numbers, for whatever draws curves over a training.

In: a trace, and the weights before a step of the optimizer. Out: finite numbers by names such as
`rnngraph/lstm_l1/reach`; what was not measured is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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


class Updates:
    """Weights as they were before a step: about 1e-3 of their size is what a step usually moves them by."""

    def __init__(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Copy them; they are given by the name of their recurrence."""
        self._before = {name: [(one, one.detach().clone()) for one in some] for name, some in weights.items() if some}

    def shares(self, optimizer: Any) -> Iterator[tuple[str, float]]:
        """Yield the names of the recurrences of which an optimizer holds every weight, and how far it moved them."""
        held = {id(one) for group in optimizer.param_groups for one in group["params"]}
        for name, pairs in self._before.items():
            size = _norm([before for _, before in pairs])
            if size > 0 and all(id(one) in held for one, _ in pairs):
                yield name, _norm([one.detach() - before for one, before in pairs]) / size


def _norm(tensors: Sequence[Any]) -> float:
    return math.sqrt(sum(float(one.double().square().sum()) for one in tensors))
