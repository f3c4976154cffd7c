"""Advice in words, for where nothing was tried: what kinds of change there are, without a number and without a promise.

Sources: orthogonal starts (Saxe et al., 2013); the forget gate's bias (Gers et al., 2000; Jozefowicz et al., 2015) and
chrono (Tallec and Ollivier, 2018); identity starts (Le et al., 2015); clipping by norm (Pascanu et al., 2013).
"""

from __future__ import annotations

import math

from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.remedies.clipping import clip_threshold, dominates, gradient_norm, own_norm
from rnngraph.diagnosis.sentences import amount_text


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
        f"Bring {layer.cell.squashed} back into its linear range: scale the inputs and weights down, or normalise the "
        "layer before the activation."
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
