"""Remedies with their number, computed from what was measured; each says what it rests on.

Sources: the gain of a gate, `b_f = ln(f / (1 - f))` for `f = gain ** (1 / lag)` (Gers et al., 2000; Jozefowicz et
al., 2015); chrono (Tallec and Ollivier, 2018); clipping by norm (Pascanu et al., 2013); orthogonal starts (Saxe et
al., 2013).
"""

from __future__ import annotations

import math

from rnngraph.diagnosis.layers import GATED, Layer
from rnngraph.trace.model import Status, Trace

KEPT_GAIN = 0.1  # what a gate's bias is to leave at the horizon
KEPT_SHARE = 0.99  # of the gradient's geometric tail that a truncation is to keep


def forget_bias(gain: float, lag: int) -> float:
    """Compute the bias with which a gate alone leaves `gain` after `lag` steps."""
    f = gain ** (1 / lag)
    return math.log(f / (1 - f))


def truncation_keeping(rate: float, share: float = KEPT_SHARE) -> int:
    """Compute the truncation length that keeps `share` of a gradient which shrinks by `rate` (below 0) nats a step."""
    return math.ceil(math.log(1 - share) / rate)


def scale_for_unit_gain(rate: float) -> float:
    """Compute the factor on the recurrent weight that makes a step's gain 1, exact where the activation is linear."""
    return math.exp(-rate)


def gradient_norm(trace: Trace) -> float:
    """Compute the norm of the whole gradient over all parameters; NaN where a part is unknown or not finite."""
    parts = [parameter.grad for parameter in trace.parameters]
    if not parts or any(part.status in (Status.NONFINITE, Status.UNOBSERVED) for part in parts):
        return float("nan")
    return math.hypot(*[float(part.value) for part in parts])


def clip_threshold(trace: Trace, layer: Layer) -> float:
    """Compute the norm to clip at: the gradient's own, divided by the largest gain that it met; NaN if unknown."""
    return gradient_norm(trace) / 10**layer.peak if math.isfinite(layer.peak) else float("nan")


def numbers(layer: Layer) -> dict[str, float | int]:
    """Gather the numbers of the advice on a vanishing gradient, for programs."""
    found: dict[str, float | int] = {"forget_bias": forget_bias(KEPT_GAIN, max(layer.horizon, 1))}
    if math.isfinite(layer.rate) and layer.rate < 0:
        found |= {"weight_scale": scale_for_unit_gain(layer.rate), "truncation": truncation_keeping(layer.rate)}
    return found


def for_vanishing(layer: Layer, lag: int | None = None) -> str:
    """Advise on a gradient that shrinks too fast to be of use at a lag, by default the horizon."""
    lag = max(layer.horizon, 1) if lag is None else lag
    bias = forget_bias(KEPT_GAIN, lag)
    start = f"a bias of {bias:.2f} leaves a gain of {KEPT_GAIN:g} at lag {lag}"
    reach = f"chrono draws the biases from ln U(1, {lag}) for lags up to {lag + 1}"
    if layer.cell == "lstm":
        first = f"Raise the forget gate: {start}; {reach}."
    elif layer.cell == "gru":
        first = f"Raise the update gate z, which keeps the state: {start}; {reach}."
    elif layer.cell == "relu" and layer.decades == -math.inf:
        first = (
            "Start the recurrent weight as the identity with biases at or above 0, and lower the learning rate, so "
            f"that no step switches all units off; or use an LSTM, whose forget gate alone with {start}."
        )
    elif math.isfinite(layer.rate) and layer.rate < 0:
        first = (
            f"Start the recurrent weight orthogonal, or scale it by {scale_for_unit_gain(layer.rate):.3g} "
            f"(e^{-layer.rate:.3g}, exact while no unit saturates); or use an LSTM, whose forget gate alone with "
            f"{start}."
        )
    else:
        first = f"Start the recurrent weight orthogonal; or use an LSTM, whose forget gate alone with {start}."
    if math.isfinite(layer.rate) and layer.rate < 0:
        return f"{first} If shorter lags suffice, truncation after {truncation_keeping(layer.rate)} steps keeps 99 %."
    return first


def for_saturated(layer: Layer) -> str:
    """Advise on units that sit where their derivative is small."""
    left = f"; it leaves {math.exp(layer.activation):.2g} a step now" if math.isfinite(layer.activation) else ""
    share = (
        f"{layer.saturated:.0%} of the units are saturated" if math.isfinite(layer.saturated) else "units are saturated"
    )
    what = "the gates and the cell" if layer.cell in GATED else "the activation"
    return (
        f"Bring {what} back into the linear range{left} ({share}): scale the inputs and weights down, or normalise "
        "the layer before the activation."
    )


def for_exploding(trace: Trace, layer: Layer) -> str:
    """Advise on a gradient that grows."""
    parts = []
    threshold, norm = clip_threshold(trace, layer), gradient_norm(trace)
    if math.isfinite(threshold) and threshold > 0:
        parts.append(f"Clip the gradient's norm at {threshold:.2g} (it is {norm:.2g}, and the gain made it so)")
    else:
        parts.append("Clip the gradient's norm at what it is over short lags")
    if layer.rate > 0:
        factor = scale_for_unit_gain(layer.rate)
        if layer.cell not in GATED:
            parts.append(f"scale the recurrent weight by {factor:.3g} (e^{-layer.rate:.3g}) or start it orthogonal")
        length = max(math.floor(math.log(100) / layer.rate), 1)
        parts.append(f"truncation after {length} steps keeps the growth below 100")
    return "; ".join(parts) + "."
