"""Rules on what becomes of a gradient on its way back: it explodes, vanishes, shrinks, or does not follow its gate."""

from __future__ import annotations

import numpy as np

from rnngraph.diagnosis import remedies
from rnngraph.diagnosis.causes import cause, is_flat
from rnngraph.diagnosis.evidence import at_timestep, end_of_memory, evidence, overflow_lag
from rnngraph.diagnosis.finding import ERROR, NOTE, Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.rules.signal import find_dead
from rnngraph.diagnosis.sentences import no_credit, pace
from rnngraph.trace.magnitudes import Status


def find_exploding(layer: Layer) -> Finding | None:
    """The gradient grows a hundredfold or more on its way back."""
    if not layer.peak >= layer.limits.exploding:
        return None
    lag = int(np.nanargmax(layer.curve.high[: layer.horizon])) + 1
    grads = layer.states[0].grad
    known = np.flatnonzero(grads.status == Status.OK)
    where = at_timestep(layer, int(known[grads.log10[known].argmax()])) if known.size else {}
    risk = overflow_lag(layer)
    numbers = {
        **evidence(layer), "peak_decades": layer.peak, "peak_lag": lag, "overflow_lag": risk,
        "gradient_norm": remedies.gradient_norm(layer.trace.parameters), "clip_norm": remedies.clip_threshold(layer),
        "weight_scale": remedies.scale_for_unit_gain(layer.rate) if layer.rate > 0 else None,
    }  # fmt: skip
    # A gradient that grows first and shrinks then has a falling slope, which says nothing of its growth.
    grown = f"1e{layer.peak:+.1f} of what it was{pace(layer) if layer.rate > 0 else ''}"
    text = f"{layer.name} explodes: up to lag {lag} the gradient grows to {grown}."
    if risk is not None:
        text += f" At this rate {layer.trace.dtype} overflows after {risk} steps."
    return Finding(
        "exploding", ERROR, {**layer.where, **where}, numbers, cause(layer, growing=True),
        remedies.for_exploding(layer), text,
    )  # fmt: skip


def find_saturated(layer: Layer) -> Finding | None:
    """The gradient has vanished, and flat activations are what took it."""
    if not _has_vanished(layer) or not is_flat(layer):
        return None
    return Finding(
        "saturated", ERROR, {**layer.where, **end_of_memory(layer)}, evidence(layer), "activation",
        remedies.for_saturated(layer), f"{layer.name} is saturated, and {no_credit(layer)}",
    )  # fmt: skip


def find_vanishing(layer: Layer) -> Finding | None:
    """The gradient has vanished at the horizon."""
    if not _has_vanished(layer) or is_flat(layer):
        return None
    return Finding(
        "vanishing", ERROR, {**layer.where, **end_of_memory(layer)}, {**evidence(layer), **remedies.numbers(layer)},
        cause(layer, growing=False), remedies.for_vanishing(layer), f"In {layer.name} {no_credit(layer)}",
    )  # fmt: skip


def find_attenuating(layer: Layer) -> Finding | None:
    """The gradient shrinks, but not to nothing."""
    if not layer.limits.vanishing < layer.decades <= layer.limits.attenuating:
        return None
    advice = remedies.for_vanishing(layer, 2 * layer.horizon)
    return Finding(
        "attenuating", NOTE, layer.where, evidence(layer), cause(layer, growing=False),
        f"Nothing need be done at this horizon; for twice the lag, {advice[0].lower()}{advice[1:]}",
        f"In {layer.name} a gradient is 1e{layer.decades:+.1f} of what it was at lag {layer.horizon}{pace(layer)}.",
    )  # fmt: skip


def find_gate_timescale(layer: Layer) -> Finding | None:
    """The gate's own time constant and the measured one disagree."""
    scales = layer.gate_timescales()
    if not scales.size or not layer.rate < 0 or layer.gate is None:
        return None
    gate, measured = float(np.median(scales)), -1 / layer.rate
    ratio = max(gate / measured, measured / gate)
    if ratio <= layer.limits.timescale:
        return None
    numbers: dict[str, Value] = {
        "gate_timescale": gate, "longest_gate_timescale": float(scales.max()), "measured_timescale": measured,
        "ratio": ratio,
    }  # fmt: skip
    other = (
        "other paths carry more than the gate does" if measured > gate else "other paths take away what the gate keeps"
    )
    return Finding(
        "gate_timescale", NOTE, layer.where, numbers, "gate",
        "Do not read the memory of this layer from its gate alone.",
        f"The gate {layer.gate.name} alone would keep a gradient for {gate:.1f} steps (median unit; a factor of e), "
        f"but {measured:.1f} were measured: {other}.",
    )  # fmt: skip


def _has_vanished(layer: Layer) -> bool:
    return layer.decades <= layer.limits.vanishing and find_dead(layer) is None
