"""From a trace to a verdict. In: a Trace with lags. Out: a `Diagnosis`; nothing is printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

from rnngraph.diagnosis.curve import taken
from rnngraph.diagnosis.finding import ERROR, FLAGS, NOTE, VERDICTS, Finding
from rnngraph.diagnosis.layer import Layer, Network, layers_of
from rnngraph.diagnosis.rules.table import LAYER_RULES, NETWORK_RULES
from rnngraph.diagnosis.thresholds import thresholds_from
from rnngraph.diagnosis.verdict import Diagnosis
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import Trace


def diagnose(trace: Trace, *, horizon: int | None = None, **thresholds: float) -> Diagnosis:
    """Say how far back the network learns, and why it stops.

    Args:
        trace: a trace with lags, `rnngraph.record(loss, lags=True)`.
        horizon: the lag at which the verdict is given; by default the longest that a tenth of the (loss, sample)
            pairs reach.
        **thresholds: any field of `Thresholds` by name, such as `vanishing=-3`.

    Raises:
        InputError: no lags or no gradients in the trace, a horizon longer than the sequence, an unknown threshold
            or one out of order.
    """
    if not isinstance(trace, Trace):
        raise InputError(f"a {type(trace).__name__} cannot be diagnosed; pass the trace that rnngraph.record returned.")
    limits = thresholds_from(thresholds)
    _check(trace)
    layers = layers_of(trace, limits, horizon)
    judged = [_judge(layer) for layer in layers]
    labels = tuple([_label(found) for found in judged])
    network = Network(trace, tuple(layers), labels)
    findings = [*chain.from_iterable(judged), *(found for rule in NETWORK_RULES if (found := rule(network)))]
    findings.sort(key=_order)
    flags = _flags(findings)
    verdict = next(flag for flag in flags if flag in VERDICTS)
    head = _headline(layers, labels, verdict)
    return Diagnosis(
        trace.model, verdict, flags, head.horizon, head.decades, head.rate, head.half_life, head.memory_horizon,
        taken(head.lags[0]), limits.as_dict(), tuple(findings), trace.notes, _spectrum(trace),
    )  # fmt: skip


def assert_healthy(
    trace: Trace, *, horizon: int | None = None, allow: Sequence[str] = (), **thresholds: float
) -> Diagnosis:
    """Pass where the verdict is healthy, for a test suite; `allow` names further verdicts that pass.

    Returns:
        the diagnosis.

    Raises:
        AssertionError: any other verdict, with the whole report as its message.
        InputError: as `diagnose`; or an unknown name in `allow`.
    """
    known_flags(allow, "allow")
    diagnosis = diagnose(trace, horizon=horizon, **thresholds)
    allowed = {"healthy", "attenuating", *allow}
    if "saturated" in allowed and not any(finding.rule == "vanishing" for finding in diagnosis.findings):
        allowed.add("vanishing")
    wrong = [flag for flag in diagnosis.flags if flag not in allowed]
    if wrong:
        raise AssertionError(f"the network is not healthy: {', '.join(wrong)}.\n\n{diagnosis}")
    return diagnosis


def known_flags(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Check names of flags.

    Raises:
        InputError: one that does not exist.
    """
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise InputError(f"{where} names {unknown[0]!r}, which is no flag; choose among {', '.join(FLAGS)}.")
    return tuple(names)


def _check(trace: Trace) -> None:
    statuses = {int(one) for state in trace.states for one in state.grad.status}
    if trace.states and statuses == {Status.UNOBSERVED}:
        raise InputError(
            "the trace holds no gradients: walk a loss, or the gradient of an output, back before the diagnosis."
        )


def _judge(layer: Layer) -> list[Finding]:
    first, *others = LAYER_RULES
    silent = first(layer)
    return [silent] if silent else [found for rule in others if (found := rule(layer))]


def _label(findings: Sequence[Finding]) -> str:
    rules = [finding.rule for finding in findings if finding.severity != NOTE]
    return next((one for one in VERDICTS if one in rules), "healthy")


def _flags(findings: Sequence[Finding]) -> tuple[str, ...]:
    rules = {finding.rule for finding in findings if finding.severity != NOTE or finding.rule == "attenuating"}
    if "saturated" in rules:
        rules.add("vanishing")  # what saturation took has vanished all the same; one finding says both
    flags = tuple([flag for flag in FLAGS if flag in rules])
    return flags if any(flag in VERDICTS for flag in flags) else ("healthy", *flags)


def _headline(layers: Sequence[Layer], labels: Sequence[str], verdict: str) -> Layer:
    """Choose the layer whose numbers stand at the top: of those with the verdict (or all), the most extreme."""
    chosen = [layer for layer, label in zip(layers, labels, strict=True) if label == verdict] or list(layers)

    def extremity(layer: Layer) -> float:
        value = layer.peak if verdict == "exploding" else -layer.decades
        return value if not math.isnan(value) else -math.inf

    return max(chosen, key=extremity)


def _order(finding: Finding) -> tuple[int, int]:
    grave = {ERROR: 0, NOTE: 2}.get(finding.severity, 1)
    return grave, VERDICTS.index(finding.rule) if finding.rule in VERDICTS else len(VERDICTS)


def _spectrum(trace: Trace) -> dict[str, Any] | None:
    if not trace.spectrum:
        return None
    first = trace.spectrum[0]
    stacks = [
        {
            "name": one.name,
            "lyapunov": [float(value) for value in one.lyapunov],
            "singular": [float(value) for value in one.singular],
            "product_log": one.product_log,
        }
        for one in trace.spectrum
    ]
    weights = {
        parameter.name: {
            "spectral_radius": parameter.spectral_radius,
            "largest_singular_value": parameter.largest_singular_value,
        }
        for parameter in trace.parameters
        if math.isfinite(parameter.spectral_radius) or math.isfinite(parameter.largest_singular_value)
    }
    return {"lyapunov": [float(value) for value in first.lyapunov], "stacks": stacks, "weights": weights}
