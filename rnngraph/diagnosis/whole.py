"""Rules that look at a whole trace, or compare its samples or layers with each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.diagnosis.curve import LN10, LagCurve
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding, Value, gain_text
from rnngraph.diagnosis.layers import Layer
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.magnitudes import Booleans, Integers, Status
from rnngraph.trace.model import Trace, parameter_of

_NAMED = 5  # samples that a sentence lists
_APART = 1.0  # decades from the median, below which a sample does not differ from the rest


def find_non_finite(trace: Trace, layers: Sequence[Layer]) -> Finding | None:
    """NaN or infinity, with the operation that it first came out of."""
    graph = trace.graph
    for way, node in graph.first_nonfinite().items():
        where: dict[str, Value] = {
            "node": node, "op": graph.ops[int(graph.op[node])], "scope": graph.scopes[int(graph.scope[node])]
        }  # fmt: skip
        if graph.timestep[node] >= 0:
            where["timestep"] = int(graph.timestep[node])
        if name := graph.names.get(str(node)):
            where["name"] = name
        advice = (
            "Look at this operation's inputs: a logarithm or division of 0, an overflow of exp, or a diverged weight."
            if way == "forward"
            else "Clipping cannot help once it is infinite: lower the gain, use float64 or a shorter window."
        )
        return Finding(
            "non_finite", ERROR, where, {"direction": way}, way, advice,
            f"NaN or infinity: in the {way} pass it first comes out of {graph.describe(node)}.",
        )  # fmt: skip
    for layer in layers:
        count = layer.curve.nonfinite + sum(int(state.nonfinite.sum()) for state in layer.states)
        if count:
            return Finding(
                "non_finite", ERROR, layer.where, {"entries": count}, "backward",
                "Lower the gain of the recurrence, use float64, or a shorter window.",
                f"NaN or infinity in {count} entries of the gradients of {layer.name}.",
            )  # fmt: skip
    return None


def find_dead_inputs(trace: Trace, layers: Sequence[Layer]) -> Finding | None:
    """A gradient is in the states, but none comes out at the inputs."""
    first = next((layer for layer in layers if layer.states[0].layer == 0), None)
    if first is None or not trace.valid.any():
        return None
    grads = [state.grad.value[state.grad.status == Status.OK] for state in first.states]
    largest = max((float(part.max()) for part in grads if part.size), default=0.0)
    weight = parameter_of(trace, first.states[0], "Wx")
    for entry in trace.inputs:
        steps = entry.steps
        seen = steps.status != Status.UNOBSERVED
        if largest == 0 or not seen.any() or not np.isin(steps.status[seen], (Status.OK, Status.ZERO)).all():
            continue
        top = float(steps.value[seen].max())
        bound = float(np.finfo(trace.dtype).eps) * weight.norm * largest if weight is not None else 0.0
        if top == 0 or top < bound:
            how = "exactly zero" if top == 0 else f"at most {top:.1e}"
            return Finding(
                "dead_inputs", WARNING, {"input": entry.name},
                {"largest_input_gradient": top, "largest_state_gradient": largest}, "input weights or saturated units",
                "Check that the input is used, that its weights are not zero, and that the units are not saturated.",
                f"The gradient of the input {entry.name} is {how}, while that of {first.name} is up to {largest:.1e}.",
            )  # fmt: skip
    return None


def compare_samples(trace: Trace, layer: Layer, limits: Thresholds) -> list[Finding]:
    """Name the sample that differs most from the rest, and the samples without any loss."""
    found = []
    masked: Booleans = ~np.any(trace.valid, axis=1)
    for silent, reason, why in (
        (masked, "mask", "all of it is masked"),
        (_without_gradient(layer, len(masked)) & ~masked, "loss", "the gradient is exactly zero"),
    ):
        if silent.any() and not silent.all():
            found.append(_silent(layer, np.flatnonzero(silent), reason, why))
    curve = layer.curve
    gains: dict[int, tuple[float, float]] = {}
    different: list[tuple[float, int, int, str]] = []
    alike: list[tuple[float, int, int, str]] = []
    for row, sample in enumerate(curve.samples):
        reached = np.flatnonzero(~np.isnan(curve.sample_median[row, : layer.horizon]))
        if not reached.size:
            continue
        lag = int(reached[-1]) + 1
        decades = float(curve.sample_median[row, lag - 1]) / LN10
        peak = _largest(curve.sample_high[row, :lag]) / LN10
        gains[int(sample)] = decades, peak
        label, common = _label(decades, peak, limits), _common(curve, lag, limits)
        middle = float(curve.median[lag - 1]) / LN10
        off = 0.0 if decades == middle else abs(decades - middle)
        near = off < _APART and "exploding" not in (label, common)
        (alike if label == common or near else different).append((off, int(sample), lag, label))
    # A few samples that explode make the whole explode: then they are the odd ones, not the many others.
    odd = alike if len(different) > len(alike) else different
    if odd and different:
        found.append(_different(layer, max(odd), gains))
    return found


def _without_gradient(layer: Layer, batch: int) -> Booleans:
    """Tell of every sample whether it was taken and no loss gives it a gradient."""
    silent = np.zeros(batch, bool)
    losses, samples = len(layer.lags[0].losses), len(layer.curve.samples)
    # Of a few losses only, the last of every sample is among them; there must have been room for it.
    if losses < layer.lags[0].available and losses < samples + 2:
        return silent
    felt = np.any([(~np.isnan(lags.log) & (lags.log != -np.inf)).any(axis=(1, 2)) for lags in layer.lags], axis=0)
    silent[layer.curve.samples] = ~felt
    return silent


def _silent(layer: Layer, samples: Integers, reason: str, why: str) -> Finding:
    named = ", ".join(map(str, samples[:_NAMED])) + (", ..." if samples.size > _NAMED else "")
    return Finding(
        "no_signal", NOTE, {**layer.where, "sample": int(samples[0])}, {"samples": int(samples.size)}, reason,
        f"Leave these samples out, or check their {reason}.",
        f"No loss reaches {layer.name} from {_count(samples.size)} ({named}): {why}.",
    )  # fmt: skip


def compare_layers(layers: Sequence[Layer], labels: Sequence[str]) -> Finding | None:
    """Name the layer that differs from the rest."""
    kinds = set(labels)
    if len(layers) < 2 or len(kinds) < 2:
        return None
    rare = min(kinds, key=lambda kind: (labels.count(kind), kind == "healthy"))
    odd = [layer for layer, label in zip(layers, labels, strict=True) if label == rare]
    others = sorted(kinds - {rare})
    return Finding(
        "layer_differs", NOTE, odd[0].where, {"label": rare, "layers": len(odd)}, "one layer differs",
        "Look at this layer first.",
        f"{', '.join(layer.name for layer in odd)}: {rare}; the other layers: {', '.join(others)}.",
    )  # fmt: skip


def _different(layer: Layer, worst: tuple[float, int, int, str], gains: dict[int, tuple[float, float]]) -> Finding:
    _, sample, lag, label = worst
    decades = gains[sample][0]
    spread = sorted(value for value, _ in gains.values())
    middle = float(layer.curve.median[lag - 1]) / LN10
    own = gain_text(decades, layer.curve.floor_decades, "+.1f")
    evidence: dict[str, Value] = {
        "label": label, "lag": lag, "decades": decades, "median_decades": middle,
        "smallest_decades": spread[0], "largest_decades": spread[-1], "samples": len(gains),
    }  # fmt: skip
    return Finding(
        "sample_differs", NOTE if label == "healthy" else WARNING, {**layer.where, "sample": sample}, evidence,
        "one sample differs", "Look at this sample's input and length.",
        f"Sample {sample} differs in {layer.name}: {label} at lag {lag}, with {own} where the median "
        f"over {len(gains)} samples is {gain_text(middle, layer.curve.floor_decades, '+.1f')}.",
    )  # fmt: skip


def _label(decades: float, peak: float, limits: Thresholds) -> str:
    if peak >= limits.exploding:
        return "exploding"
    return "vanishing" if decades <= limits.vanishing else "healthy"


def _common(curve: LagCurve, lag: int, limits: Thresholds) -> str:
    return _label(float(curve.median[lag - 1]) / LN10, curve.peak(lag) / LN10, limits)


def _largest(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else float("nan")


def _count(number: int) -> str:
    return "1 sample" if number == 1 else f"{number} samples"
