"""Advice in words, for where nothing was tried: what kinds of change there are, without a promise, and where to clip.

Sources: orthogonal starts (Saxe et al., 2013); the forget gate's bias (Gers et al., 2000; Jozefowicz et al., 2015) and
chrono (Tallec and Ollivier, 2018); identity starts (Le et al., 2015); clipping by norm (Pascanu et al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.sentences import amount_text
from rnngraph.trace.model import ParameterTrace


def for_vanishing(layer: Layer, lag: int) -> str:
    """Advise on a gradient that shrinks too fast to be of use at a lag."""
    if layer.cell.keeps:
        gate = f"the {layer.cell.keeps_title}, which keeps the state"
        return f"Open {gate}: chrono initialisation for lag {lag}, or a larger bias."
    if layer.cell.switches_off and layer.decades == -math.inf:
        return (
            "Start the recurrent weight as the identity with biases at or above 0, and lower the learning rate, so "
            "that no step switches all units off."
        )
    if not layer.cell.parts:  # it may be an LSTM that was written by hand, or have no such weight at all
        return (
            "Where a gate or a decay keeps the state, bring it nearer to 1; else start the recurrent weight orthogonal "
            "or larger, or use a cell with such a gate."
        )
    return "Start the recurrent weight orthogonal, or larger; or use an LSTM, whose forget gate can stay open."


def for_saturated(layer: Layer) -> str:
    """Advise on units that sit where their derivative is small."""
    return (
        f"Bring {layer.cell.squashed} back to where a slope is left: scale the inputs and weights down, or normalise "
        "the layer before the activation."
    )


def for_unwritten(layer: Layer) -> str:
    """Advise on a memory that takes nothing in."""
    gates = [gate for gate in layer.cell.gates if gate != layer.cell.keeps] if layer.cell.keeps else []
    which = f"the gates {', '.join(gates)}, of which one writes" if gates else "the input weights"
    return (
        f"Look at {which}: their biases may hold them shut, or their weights or inputs may be too small or too large."
    )


def for_exploding(layer: Layer) -> str:
    """Advise on a gradient that grows."""
    if layer.cell.keeps:
        return "Make the recurrent weights smaller."
    if not layer.cell.parts:
        return "Start the recurrent weight orthogonal or smaller; where a decay keeps the state, hold it at most at 1."
    return "Start the recurrent weight orthogonal, or make it smaller."


def clip(layer: Layer) -> str:
    """Say where to clip: a safety, which keeps a step small."""
    threshold = clip_threshold(layer)
    if not math.isfinite(threshold):
        where = "the gradient's norm at what it is over short lags"
    elif dominates(layer):
        norm = amount_text(gradient_norm(layer.trace.parameters))
        where = f"the gradient's norm at {amount_text(threshold)} (it is {norm}, and the gain made it so)"
    else:
        norm = amount_text(own_norm(layer))
        where = f"the norm of the gradient of {layer.name}'s own weights at {amount_text(threshold)} (it is {norm})"
    return f"Clip {where}, as a safety; it cures nothing."


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
