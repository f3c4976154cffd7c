"""Norms of gradients, of a network and of a layer, and where to clip them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.layer import Layer
from rnngraph.trace.model import ParameterTrace


def gradient_norm(parameters: Iterable[ParameterTrace]) -> float:
    """Compute the norm of the gradient over parameters; NaN where there are none or a part is unknown or infinite."""
    parts = [float(parameter.grad.value) for parameter in parameters]  # NaN where it is not a number, or not known
    return math.hypot(*parts) if parts else math.nan


def own_norm(layer: Layer) -> float:
    """Compute the norm of the gradient over the layer's own parameters; NaN where they are not known."""
    return gradient_norm(parameter for parameter in layer.trace.parameters if _owns(layer, parameter.name))


def clip_threshold(layer: Layer) -> float:
    """Compute the norm to clip at: what the gradient would be without the largest gain that it met; NaN if unknown."""
    norm = gradient_norm(layer.trace.parameters) if dominates(layer) else own_norm(layer)
    if not math.isfinite(layer.peak) or not norm > 0:
        return float("nan")
    return math.exp(max(math.log(norm) - layer.peak * LN10, -700.0))


def dominates(layer: Layer) -> bool:
    """Tell whether most of the whole gradient is the layer's own; so where its parameters are not known."""
    own = own_norm(layer)
    return math.isnan(own) or 2 * own**2 >= gradient_norm(layer.trace.parameters) ** 2


def _owns(layer: Layer, parameter: str) -> bool:
    """Tell whose a parameter is: `lstm.Wh_l1` belongs to the layer with the state `lstm.h_l1`, not to `lstm.h`."""
    owners = []
    for state in layer.trace.states:
        stack, _, last = state.name.rpartition(".")
        if parameter.startswith(f"{stack}.") and parameter.endswith(last.removeprefix(state.kind)):
            owners.append(state.recurrence)
    return max(owners, key=len, default=None) == layer.name
