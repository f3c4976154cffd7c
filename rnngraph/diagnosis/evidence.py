"""What a finding rests on: the numbers, the cause, the place, and the words for them."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.curve import LN10, births_of, combined
from rnngraph.diagnosis.finding import Value, gain_text
from rnngraph.diagnosis.layers import GATED, Layer
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.model import FORWARD, Trace, parameter_of


def dead_share(trace: Trace, layer: Layer) -> float:
    """Compute the share of steps at which no unit lets a gradient through; 0 for smooth cells."""
    if layer.cell == "relu":
        saturated = layer.states[0].saturated[trace.valid.any(axis=0)]
        return float(np.mean(saturated == 1)) if saturated.size else 0.0
    if layer.cell != "custom" or not layer.curve.sample_median.size:
        return 0.0
    log = combined(layer.lags)[:, :, 1:]
    severed, births = layer.lags[0].severed, births_of(layer.lags, layer.states[0].direction)
    if layer.states[0].direction != FORWARD:
        log, severed, births = log[..., ::-1], severed[:, ::-1], log.shape[-1] - 1 - births
    felt = log > -np.inf
    before = np.logical_or.accumulate(felt, axis=2)  # here, or at any earlier step
    came = felt[:, :, 1:] & (np.arange(1, log.shape[2]) <= births[:, :, None]) & ~severed[:, None, 1:]
    seen = came & ~np.isnan(log[:, :, :-1])
    observed = seen.any(axis=1)
    dead = observed & ~(seen & before[:, :, :-1]).any(axis=1)
    # Of one step alone it is not known whether it is the rule.
    return float(dead.sum() / observed.sum()) if observed.any(axis=0).sum() > 1 else 0.0


def is_flat(layer: Layer, limits: Thresholds) -> bool:
    """Tell whether flat activations are what takes the gradient."""
    share = activation_share(layer)
    if layer.cell != "relu" and layer.saturated >= limits.saturated and not share < limits.activation_share:
        return True
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
    weight = parameter_of(trace, layer.states[0], "Wh")
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
    gain = gain_text(layer.decades, layer.curve.floor_decades, "+.1f")
    if not zero:
        gain += f" of what it was{pace(layer)}"
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
    log, births = combined(layer.lags)[:, :, 1:], births_of(layer.lags, layer.states[0].direction)
    start = np.take_along_axis(log, births[:, :, None], axis=2)
    start = start[np.isfinite(start)]
    if not layer.rate > 0 or not start.size:
        return None
    room = math.log10(float(np.finfo(trace.dtype).max)) - layer.peak - float(start.max()) / LN10
    lag = layer.horizon + room * LN10 / layer.rate
    return max(math.ceil(lag), 1) if lag <= 10 * layer.horizon else None


def kept_by_window(layer: Layer) -> str:
    """Say how much of the gradient a truncation window keeps, where the gradient shrinks."""
    if layer.window is None or not layer.rate < 0:
        return ""
    return f" (at the measured rate the window already keeps {-math.expm1(layer.rate * layer.window):.1%})"


def end_of_memory(layer: Layer) -> dict[str, Value]:
    """Find where, counted from the last loss over steps that are no copies, the memory ends."""
    births, copied = births_of(layer.lags, layer.states[0].direction), layer.lags[0].copied
    if not births.size or layer.memory_horizon is None:
        return {}
    forward = layer.states[0].direction == FORWARD
    last = births.max(axis=1) if forward else births.min(axis=1)
    sample = int(last.argmax() if forward else last.argmin())
    real = np.flatnonzero(~copied[sample])
    behind = real[real <= last[sample]][::-1] if forward else real[real >= last[sample]]
    return place(layer, int(behind[layer.memory_horizon])) if layer.memory_horizon < len(behind) else {}


def place(layer: Layer, t: int) -> dict[str, Value]:
    """Name a timestep and its node."""
    nodes = layer.states[0].nodes
    return {"timestep": t, "node": int(nodes[t])} if 0 <= t < len(nodes) else {}
