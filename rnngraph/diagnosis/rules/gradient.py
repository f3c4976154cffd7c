"""Rules on what a layer's own states make of a gradient: it explodes, or does not follow its gate."""

from __future__ import annotations

import numpy as np

from rnngraph.diagnosis.causes import lost_once
from rnngraph.diagnosis.evidence import at_timestep, evidence, overflow_lag
from rnngraph.diagnosis.finding import ERROR, NOTE, Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.remedies import advice
from rnngraph.diagnosis.sentences import amount_text, pace, percent, share_text, times_text
from rnngraph.diagnosis.thresholds import FAR
from rnngraph.trace.magnitudes import Status


def find_exploding(layer: Layer) -> Finding | None:
    """The gradient grows a hundredfold or more on its way back."""
    limit = layer.limits.exploding
    if not layer.peak >= limit:
        return None
    grads = layer.states[0].grad
    known = np.flatnonzero(grads.status == Status.OK)
    where = at_timestep(layer, int(known[grads.log10[known].argmax()])) if known.size else {}
    risk = overflow_lag(layer)
    passed = int(np.flatnonzero(layer.growth >= limit)[0]) + 1
    numbers: dict[str, Value] = {
        **evidence(layer), "peak_decades": layer.peak, "peak_lag": layer.peak_lag, "passed_lag": passed,
        "overflow_lag": risk, "gradient_norm": advice.gradient_norm(layer.trace.parameters),
        "clip_norm": advice.clip_threshold(layer),
    }  # fmt: skip
    # A gradient that grows first and shrinks then has a falling slope, which says nothing of its growth.
    pace_of = pace(layer) if layer.rate > 0 else ""
    text = f"{layer.name} explodes: up to lag {layer.peak_lag} the gradient grows {times_text(layer.peak)}"
    text += f"{pace_of}."
    if risk is not None:
        text += f" At this rate {layer.trace.dtype} overflows after {risk} steps."
    return Finding(
        "exploding", ERROR, {**layer.where, **where}, numbers, "weights",
        f"{advice.for_exploding(layer)} {advice.clip(layer)}", text,
    )  # fmt: skip


def find_gate_timescale(layer: Layer) -> Finding | None:
    """The gate's own time constant and the measured one disagree."""
    scales = layer.gate_timescales()
    if not scales.size or not layer.rate < 0 or layer.gate is None:
        return None
    gate, measured = float(np.median(scales)), -1 / layer.rate
    ratio = max(gate / measured, measured / gate)
    if ratio <= layer.limits.timescale or min(gate, measured) > FAR * layer.horizon:
        return None
    once = lost_once(layer, layer.decades, layer.sums.reach(layer.limits.epsilon))
    if once is not None:  # which both count otherwise
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
        f"The gate {layer.gate.name} alone would keep a gradient for {amount_text(gate)} steps (until a factor of e is "
        f"lost; median unit), but {amount_text(measured)} were measured: {other}.",
    )  # fmt: skip


def find_readout(layer: Layer) -> Finding | None:
    """What is lost is lost once, where the loss reads the layer, and not from step to step."""
    once = layer.decades_from_first - layer.decades
    if not (layer.decades <= layer.limits.vanishing and once >= layer.limits.readout):
        return None
    if not layer.decades_from_first > layer.limits.vanishing:
        return None
    left = percent(layer.decades_from_first)
    return Finding(
        "readout", "warning", layer.where,
        {**evidence(layer), "decades_from_first": layer.decades_from_first, "once_decades": once}, "readout",
        "Look at what stands between this layer's memory and the loss: the bias of its output gate, or the head's "
        "weights. The recurrence needs no change.",
        f"{layer.name} hands on little of what it keeps: only {share_text(-once)} of it gets through where the loss "
        f"reads it; from step to step it keeps {left} up to lag {layer.horizon}.",
    )  # fmt: skip
