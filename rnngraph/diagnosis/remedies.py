"""Remedies with their number, computed from what was measured; each says what it rests on.

Sources: the gain of a gate, `b_f = ln(f / (1 - f))` for `f = gain ** (1 / lag)` (Gers et al., 2000; Jozefowicz et
al., 2015); chrono (Tallec and Ollivier, 2018); clipping by norm (Pascanu et al., 2013); orthogonal starts (Saxe et
al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.sentences import counted
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import ParameterTrace

KEPT_GAIN = 0.1  # what a gate's bias is to leave at the horizon
KEPT_SHARE = 0.99  # of what all lags carry that a truncation is to keep
GROWTH = 100  # below which a truncation is to keep the gain


def forget_bias(gain: float, lag: int) -> float:
    """Compute the bias with which a gate alone leaves `gain` after `lag` steps."""
    f = gain ** (1 / lag)
    return math.log(f / (1 - f))


def truncation_keeping(layer: Layer, share: float = KEPT_SHARE) -> int | None:
    """Compute the truncation length that keeps `share` of what all lags together carry; None where it is not known.

    What lies beyond the horizon is taken to go on at the measured rate (below 0, nats a step).
    """
    if not layer.horizon or not layer.rate < 0:
        return None
    with np.errstate(over="ignore"):
        gains = np.append(1.0, np.exp(np.nan_to_num(layer.curve.median[: layer.horizon], nan=-np.inf, neginf=-np.inf)))
    tail = float(gains[-1]) * math.exp(layer.rate) / -math.expm1(layer.rate)
    total = float(gains.sum()) + tail
    reached = np.flatnonzero(np.cumsum(gains) >= share * total)
    if reached.size:
        return int(reached[0]) + 1
    return len(gains) + math.ceil(math.log((1 - share) * total / tail) / layer.rate)


def truncation_below(layer: Layer, growth: float = GROWTH) -> int | None:
    """Compute the truncation length that leaves out all lags at which a gradient grows by `growth`; None for none."""
    above = np.flatnonzero(layer.curve.high[: layer.horizon] >= math.log(growth))
    return int(above[0]) + 1 if above.size else None


def scale_for_unit_gain(rate: float) -> float:
    """Compute the factor on the recurrent weight that makes a step's gain 1, exact where the activation is linear."""
    return math.exp(min(-rate, 700.0))


def gradient_norm(parameters: Iterable[ParameterTrace]) -> float:
    """Compute the norm of the gradient over parameters; NaN where there are none or a part is unknown or infinite."""
    parts = [parameter.grad for parameter in parameters]
    if not parts or any(part.status in (Status.NONFINITE, Status.UNOBSERVED) for part in parts):
        return float("nan")
    return math.hypot(*[float(part.value) for part in parts])


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


def numbers(layer: Layer) -> dict[str, float | int]:
    """Gather the numbers of the advice on a vanishing gradient, for programs."""
    found: dict[str, float | int] = {"forget_bias": forget_bias(KEPT_GAIN, max(layer.horizon, 1))}
    if math.isfinite(layer.rate) and layer.rate < 0:
        found["weight_scale"] = scale_for_unit_gain(layer.rate)
    length = truncation_keeping(layer)
    return found if length is None else found | {"truncation": length}


def for_vanishing(layer: Layer, lag: int | None = None) -> str:
    """Advise on a gradient that shrinks too fast to be of use at a lag, by default the horizon."""
    lag = max(layer.horizon, 1) if lag is None else lag
    bias = f"a bias of {forget_bias(KEPT_GAIN, lag):.2f} leaves a gain of {KEPT_GAIN:g} at lag {lag}"
    if layer.cell.keeps:
        reach = f"chrono draws the biases from ln U(1, {lag}) for lags up to {lag + 1}"
        first = f"Raise the {layer.cell.keeps_title}: {bias}; {reach}."
    else:
        first = f"{_start(layer)}; or use an LSTM, whose forget gate alone with {bias}."
    length = truncation_keeping(layer)
    if length is None:
        return first
    return f"{first} If shorter lags suffice, truncation after {counted(length, 'step')} keeps 99 %."


def for_saturated(layer: Layer) -> str:
    """Advise on units that sit where their derivative is small."""
    left = f"; it leaves {math.exp(layer.activation):.2g} a step now" if math.isfinite(layer.activation) else ""
    share = (
        f"{layer.saturated:.0%} of the units are saturated" if math.isfinite(layer.saturated) else "units are saturated"
    )
    return (
        f"Bring {layer.cell.squashed} back into the linear range{left} ({share}): scale the inputs and weights down, "
        "or normalise the layer before the activation."
    )


def for_exploding(layer: Layer) -> str:
    """Advise on a gradient that grows."""
    parts = [_clip(layer)]
    if layer.rate > 0 and not layer.cell.keeps:
        factor = scale_for_unit_gain(layer.rate)
        parts.append(f"scale the recurrent weight by {factor:.3g} (e^{-layer.rate:.3g}) or start it orthogonal")
    length = truncation_below(layer)
    if length is not None:
        parts.append(f"truncation after {counted(length, 'step')} keeps the growth below {GROWTH}")
    return "; ".join(parts) + "."


def _start(layer: Layer) -> str:
    if layer.cell.switches_off and layer.decades == -math.inf:
        return (
            "Start the recurrent weight as the identity with biases at or above 0, and lower the learning rate, so "
            "that no step switches all units off"
        )
    if math.isfinite(layer.rate) and layer.rate < 0:
        return (
            f"Start the recurrent weight orthogonal, or scale it by {scale_for_unit_gain(layer.rate):.3g} "
            f"(e^{-layer.rate:.3g}, exact while no unit saturates)"
        )
    return "Start the recurrent weight orthogonal"


def _clip(layer: Layer) -> str:
    threshold = clip_threshold(layer)
    if not (math.isfinite(threshold) and threshold > 0):
        return "Clip the gradient's norm at what it is over short lags"
    if dominates(layer):
        norm = gradient_norm(layer.trace.parameters)
        return f"Clip the gradient's norm at {threshold:.2g} (it is {norm:.2g}, and the gain made it so)"
    norm = own_norm(layer)
    return f"Clip the norm of the gradient of {layer.name}'s own weights at {threshold:.2g} (it is {norm:.2g})"


def _owns(layer: Layer, parameter: str) -> bool:
    """Tell whose a parameter is: `lstm.Wh_l1` belongs to the layer with the state `lstm.h_l1`, not to `lstm.h`."""
    owners = []
    for state in layer.trace.states:
        stack, _, last = state.name.rpartition(".")
        if parameter.startswith(f"{stack}.") and parameter.endswith(last.removeprefix(state.kind)):
            owners.append(state.recurrence)
    return max(owners, key=len, default=None) == layer.name
