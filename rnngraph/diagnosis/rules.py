"""The rules of a verdict: plain functions of a trace, a layer and the thresholds, in one table.

A rule gives a finding or nothing. A layer that gets no signal is judged no further, and one without a lag only
by what needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rnngraph.diagnosis import evidence as proof
from rnngraph.diagnosis import remedy
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding, Value
from rnngraph.diagnosis.layers import Layer, no_signal
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import FORWARD, Trace

Rule: TypeAlias = Callable[[Trace, Layer, Thresholds], Finding | None]


def find_no_signal(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """No loss reaches the layer: not connected, masked everywhere, or solved exactly."""
    masked = not trace.valid.any()
    if not masked and not no_signal(layer.states, layer.curve):
        return None
    why = "every step is masked" if masked else "its gradient is exactly zero at every step"
    return Finding(
        "no_signal", ERROR, layer.where, {"losses": int(layer.curve.seeds)}, "no loss with a gradient",
        "Check that the loss depends on this layer, that the mask leaves a step, and that the task is not solved.",
        f"No loss reaches {layer.name}: {why}.",
    )  # fmt: skip


def find_dead(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """Every unit's derivative is exactly zero, at most steps."""
    share = proof.dead_share(trace, layer)
    if not share > limits.dead:
        return None
    return Finding(
        "dead", ERROR, layer.where, {"share": share}, "activation",
        "Lower the learning rate and start again, the recurrent weight as the identity and biases at or above 0; or "
        "use an activation without a flat half.",
        f"{layer.name} is dead: at {share:.0%} of the steps no unit lets a gradient through.",
    )  # fmt: skip


def find_exploding(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The gradient grows a hundredfold or more on its way back."""
    if not layer.peak >= limits.exploding:
        return None
    lag = int(np.nanargmax(layer.curve.high[: layer.horizon])) + 1
    grads = layer.states[0].grad
    known = np.flatnonzero(grads.status == Status.OK)
    place = proof.place(layer, int(known[grads.log10[known].argmax()])) if known.size else {}
    risk = proof.overflow_lag(trace, layer)
    evidence = {
        **proof.evidence(trace, layer), "peak_decades": layer.peak, "peak_lag": lag, "overflow_lag": risk,
        "gradient_norm": remedy.gradient_norm(trace), "clip_norm": remedy.clip_threshold(trace, layer),
        "weight_scale": remedy.scale_for_unit_gain(layer.rate) if layer.rate > 0 else None,
    }  # fmt: skip
    # A gradient that grows first and shrinks then has a falling slope, which says nothing of its growth.
    grown = f"1e{layer.peak:+.1f} of what it was{proof.pace(layer) if layer.rate > 0 else ''}"
    text = f"{layer.name} explodes: up to lag {lag} the gradient grows to {grown}."
    if risk is not None:
        text += f" At this rate {trace.dtype} overflows after {risk} steps."
    return Finding(
        "exploding", ERROR, {**layer.where, **place}, evidence, proof.cause(layer, growing=True),
        remedy.for_exploding(trace, layer), text,
    )  # fmt: skip


def find_saturated(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The gradient has vanished, and flat activations are what took it."""
    if not layer.decades <= limits.vanishing or find_dead(trace, layer, limits) or not proof.is_flat(layer, limits):
        return None
    text = f"{layer.name} is saturated, and {proof.no_credit(trace, layer, limits)}"
    where = {**layer.where, **proof.end_of_memory(layer)}
    return Finding(
        "saturated", ERROR, where, proof.evidence(trace, layer), "activation", remedy.for_saturated(layer), text
    )


def find_vanishing(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The gradient has vanished at the horizon."""
    if not layer.decades <= limits.vanishing or find_dead(trace, layer, limits) or proof.is_flat(layer, limits):
        return None
    text = f"In {layer.name} {proof.no_credit(trace, layer, limits)}"
    where = {**layer.where, **proof.end_of_memory(layer)}
    return Finding(
        "vanishing",
        ERROR,
        where,
        {**proof.evidence(trace, layer), **remedy.numbers(layer)},
        proof.cause(layer, growing=False),
        remedy.for_vanishing(layer),
        text,
    )


def find_too_short(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """There is no lag to judge, or none as long as the horizon that was asked for."""
    if layer.horizon >= 1:
        return _find_unreached_horizon(layer)
    if layer.curve.nonfinite and not layer.curve.pairs.any():
        return None  # the lags are there, but none of their gradients is a number
    first = (
        "the first step" if layer.states[0].direction == FORWARD else "the last timestep, where this direction starts"
    )
    return Finding(
        "too_short", WARNING, layer.where, {"pairs": int(layer.curve.pairs.sum())}, "no loss with a step before it",
        f"Trace a longer sequence, or one whose loss is not on {first}.",
        f"{layer.name} is too short to judge: no loss has a step before it to compare with.",
    )  # fmt: skip


def _find_unreached_horizon(layer: Layer) -> Finding | None:
    if layer.asked is None or layer.window is not None:
        return None
    reach = ~np.isnan(layer.curve.sample_median[:, : layer.asked])
    last, those = int(reach[:, layer.horizon - 1].sum()), int(reach.any(axis=1).sum())
    if layer.horizon >= layer.asked and 2 * last < those:
        return Finding(
            "too_short", WARNING, layer.where, {"asked": layer.asked, "samples": last, "of": those},
            "few samples with so many steps before their losses",
            "Ask for a shorter horizon, or trace longer samples.",
            f"In {layer.name} only {last} of {those} samples have a loss with {layer.asked} steps before it, and the "
            "verdict is theirs alone.",
        )  # fmt: skip
    if layer.horizon >= layer.asked:
        return None
    return Finding(
        "too_short", WARNING, layer.where, {"asked": layer.asked, "judged_to_lag": layer.horizon},
        "no loss with so many steps before it",
        f"Trace a longer sequence or a later loss, or ask for a horizon of at most {layer.horizon}.",
        f"No loss in {layer.name} has more than {layer.horizon} steps before it, so that nothing is known at the "
        f"horizon of {layer.asked}.",
    )  # fmt: skip


def find_truncated(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The recurrence is cut, so nothing is known beyond the cut."""
    if layer.window is None:
        return None
    evidence: dict[str, Value] = {"window": layer.window, "judged_to_lag": layer.horizon}
    return Finding(
        "truncated", WARNING, layer.where, evidence, "detach or truncated back-propagation",
        f"Lags of {layer.window} and more are cut off by design; to judge them, trace without the cut"
        f"{proof.kept_by_window(layer)}.",
        f"The recurrence of {layer.name} is cut: no gradient goes back over more than {layer.window - 1} steps, "
        "and only shorter lags are judged.",
    )  # fmt: skip


def find_attenuating(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The gradient shrinks, but not to nothing."""
    if not limits.vanishing < layer.decades <= limits.attenuating:
        return None
    left = f"1e{layer.decades:+.1f} of what it was at lag {layer.horizon}{proof.pace(layer)}"
    text = f"In {layer.name} a gradient is {left}."
    advice = remedy.for_vanishing(layer, 2 * layer.horizon)
    return Finding(
        "attenuating", NOTE, layer.where, proof.evidence(trace, layer), proof.cause(layer, growing=False),
        "Nothing need be done at this horizon; for twice the lag, " + advice[0].lower() + advice[1:], text,
    )  # fmt: skip


def find_timescale(trace: Trace, layer: Layer, limits: Thresholds) -> Finding | None:
    """The gate's own time constant and the measured one disagree."""
    scales = layer.gate_timescales()
    if not scales.size or not layer.rate < 0 or layer.gate is None:
        return None
    gate, measured = float(np.median(scales)), -1 / layer.rate
    ratio = max(gate / measured, measured / gate)
    if ratio <= limits.timescale:
        return None
    evidence: dict[str, Value] = {
        "gate_timescale": gate, "longest_gate_timescale": float(scales.max()), "measured_timescale": measured,
        "ratio": ratio,
    }  # fmt: skip
    other = (
        "other paths carry more than the gate does" if measured > gate else "other paths take away what the gate keeps"
    )
    return Finding(
        "gate_timescale", NOTE, layer.where, evidence, "gate",
        "Do not read the memory of this layer from its gate alone.",
        f"The gate {layer.gate.name} alone would keep a gradient for {gate:.1f} steps (median unit; a factor of e), "
        f"but {measured:.1f} were measured: {other}.",
    )  # fmt: skip


# In the order of precedence; what comes before non-finite numbers and dead inputs is in `whole`.
LAYER_RULES: tuple[Rule, ...] = (
    find_dead, find_exploding, find_saturated, find_vanishing, find_too_short, find_truncated, find_attenuating,
    find_timescale,
)  # fmt: skip
