"""What a finding rests on: the numbers, the cause, the place, and the words for them."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.finding import Value, gain_text
from rnngraph.diagnosis.layers import GATED, LN10, Layer
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.model import FORWARD, Trace


def dead_share(trace: Trace, layer: Layer) -> float:
    """Compute the share of steps at which no unit lets a gradient through; 0 for smooth cells."""
    if layer.cell == "relu":
        saturated = layer.states[0].saturated[trace.valid.any(axis=0)]
        return float(np.mean(saturated == 1)) if saturated.size else 0.0
    if layer.cell != "custom" or not layer.curve.sample_median.size:
        return 0.0
    first = layer.curve.sample_median[:, 0]
    first = first[~np.isnan(first)]
    return float(np.mean(first == -np.inf)) if first.size else 0.0


def is_flat(layer: Layer, limits: Thresholds) -> bool:
    """Tell whether flat activations are what takes the gradient."""
    if layer.cell != "relu" and layer.saturated >= limits.saturated:
        return True
    share = activation_share(layer)
    return share >= limits.activation_share and math.exp(layer.activation) < limits.activation_gain


def activation_share(layer: Layer) -> float:
    """Compute which share of the loss per step the activation's derivative takes; NaN where it is not known."""
    taken = layer.activation + min(layer.weights, 0.0)
    return layer.activation / taken if taken < 0 else float("nan")


def cause(layer: Layer, *, growing: bool) -> str:
    """Say which factor of a step is responsible: activation, weights or gate."""
    if layer.cell in GATED:
        scales = layer.gate_timescales()
        if growing or not scales.size:
            return "weights" if growing else "gate or weights"
        with np.errstate(under="ignore"):
            kept = np.sqrt(np.mean(np.exp(-2 * layer.horizon / scales)))
        # The gate is the cause where it alone explains at least half of the decades that were lost.
        lost = float(np.log10(kept)) if kept > 0 else -math.inf
        return "gate" if lost <= layer.decades / 2 else "weights"
    if growing:
        return "weights"
    if layer.cell == "relu" and layer.decades == -math.inf:
        return "activation"  # units that were switched off
    share = activation_share(layer)
    return "activation" if share >= 0.5 else "weights"


def evidence(trace: Trace, layer: Layer) -> dict[str, Value]:
    """Gather the numbers that a verdict on a layer rests on."""
    found: dict[str, Value] = {
        "lag": layer.horizon,
        "decades": layer.decades,
        "rate": layer.rate,
        "half_life": layer.half_life,
        "memory_horizon": layer.memory_horizon,
        "activation_nats": layer.activation,
        "weight_nats": layer.weights,
        "saturated": layer.saturated,
    }
    prefix, _, suffix = layer.name.partition("_l")
    weight = next((p for p in trace.parameters if p.name == f"{prefix}.Wh" + (f"_l{suffix}" if suffix else "")), None)
    if weight is not None:
        found |= {"spectral_radius": weight.spectral_radius, "largest_singular_value": weight.largest_singular_value}
    scales = layer.gate_timescales()
    if scales.size:
        found |= {"gate_timescale": float(np.median(scales)), "longest_gate_timescale": float(scales.max())}
    if layer.decades <= math.log10(float(np.finfo(trace.dtype).eps)):
        found["extinct"] = True  # added to a term of short lag, it does not change the sum
    return found


def no_credit(trace: Trace, layer: Layer, limits: Thresholds) -> str:
    """Say beyond which lag nothing is learnt, and what is left at the horizon."""
    zero = layer.decades == -math.inf
    gain = gain_text(layer.decades, layer.floor, "+.1f") + ("" if zero else f" of what it was{pace(layer)}")
    text = (
        f"there is no credit beyond lag {layer.memory_horizon} (less than {limits.epsilon:g} is left): "
        f"at lag {layer.horizon} a gradient is {gain}."
    )
    if not zero and layer.decades <= math.log10(float(np.finfo(trace.dtype).eps)):
        text += f" That is below the resolution of {trace.dtype} beside a term of short lag."
    return text


def pace(layer: Layer) -> str:
    """Say how fast the gradient shrinks or grows."""
    if not math.isfinite(layer.rate):
        return ""
    half = layer.half_life
    tempo = f", halved every {half:.3g} steps" if half is not None and half < 1e4 else ""
    if layer.rate > 1e-4:
        tempo = f", doubled every {math.log(2) / layer.rate:.3g} steps"
    return f" ({layer.rate:+.3g} nats a step{tempo})"


def overflow_lag(trace: Trace, layer: Layer) -> int | None:
    """Predict the lag at which the dtype overflows, where that lies within ten horizons; None else."""
    room = math.log10(float(np.finfo(trace.dtype).max)) - layer.peak
    if not layer.rate > 0:
        return None
    lag = layer.horizon + room * LN10 / layer.rate
    return math.ceil(lag) if lag <= 10 * layer.horizon else None


def kept_by_window(layer: Layer) -> str:
    """Say how much of the gradient a truncation window keeps, where the gradient shrinks."""
    if not layer.rate < 0:
        return ""
    return (
        f" (at the measured rate the window already keeps {-math.expm1(layer.rate * layer.window):.1%})"
        if layer.window
        else ""
    )


def end_of_memory(layer: Layer) -> dict[str, Value]:
    """Find where, counted from the last loss, the memory ends."""
    losses = layer.lags[0].losses
    if not losses.size or layer.memory_horizon is None:
        return {}
    if layer.states[0].direction == FORWARD:
        return place(layer, int(losses[-1]) - layer.memory_horizon)
    return place(layer, int(losses[0]) + layer.memory_horizon)


def place(layer: Layer, t: int) -> dict[str, Value]:
    """Name a timestep and its node."""
    nodes = layer.states[0].nodes
    return {"timestep": t, "node": int(nodes[t])} if 0 <= t < len(nodes) else {}
