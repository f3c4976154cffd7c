"""From a trace to a verdict. In: a Trace with lags. Out: a `Diagnosis`; nothing is printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnngraph.diagnosis.curve import taken
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding
from rnngraph.diagnosis.headline import VERDICTS, headline
from rnngraph.diagnosis.judged import LayerVerdict
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, network_of
from rnngraph.diagnosis.remedies.treat import treat
from rnngraph.diagnosis.remedies.tried import Tries
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.diagnosis.rules.table import LAYER_RULES, NETWORK_RULES, PATH_RULES, PLACED_RULES, RULES
from rnngraph.diagnosis.thresholds import thresholds_from
from rnngraph.diagnosis.update import update_from
from rnngraph.errors import InputError, RnnGraphError
from rnngraph.nearest import check_known
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import Trace


def diagnose(
    trace: Trace | Any, *, horizon: int | None = None, trial: Tries | None = None, **thresholds: float
) -> Diagnosis:
    """Say how far back the network learns, and why it stops.

    Args:
        trace: a trace with lags; or what `rnngraph.record` takes, which is recorded with them first.
        horizon: the lag that the task needs. Without one the reach is what is said, and nothing is wrong with it: the
            verdict is then given at the longest lag that a tenth of the gradient has behind it.
        trial: who runs the network again with changed weights, `rnngraph.trial(loss)`: remedies are then tried before
            they are given, and only what helps is.
        **thresholds: any field of `Thresholds` by name, such as `vanishing=-3`.

    Raises:
        InputError: no lags or no gradients in the trace, a horizon longer than the sequence, an unknown threshold
            or one out of order; a trial that is none.
    """
    network = network_in(trace, horizon=horizon, **thresholds)
    if trial is not None and not isinstance(trial, Tries):
        raise InputError(
            f"trial is a {type(trial).__name__}; pass rnngraph.trial(loss), or rnngraph.trial(watch) of a PyTorch step."
        )
    return judge(network, trial=trial)


def network_in(trace: Trace | Any, *, horizon: int | None = None, **thresholds: float) -> Network:
    """Gather what a verdict rests on: the layers of a trace and the ways of its credit; see `diagnose`.

    Raises:
        InputError: as `diagnose`.
    """
    if not isinstance(trace, Trace):
        from rnngraph.sources.tape.record import record

        trace = record(trace, lags=True)
    limits = thresholds_from(thresholds)
    _check(trace)
    return network_of(trace, limits, horizon)


def judge(network: Network, *, trial: Tries | None = None) -> Diagnosis:
    """Give the verdict on a network; see `diagnose`."""
    trace, layers, limits = network.trace, network.layers, network.limits
    of_layers = [_judge(network, layer) for layer in layers]
    findings = [one for found in of_layers for one in found]
    findings += [found for path in network.paths for rule in PATH_RULES if (found := rule(network, path))]
    findings += [found for rule in NETWORK_RULES if (found := rule(network))]
    findings.sort(key=_order)
    flags = _flags(findings)
    verdict = flags[0]
    head, path = _headline(layers, network, verdict), network.loudest if verdict == "exploding" else network.head
    treated, tried = (tuple(findings), ()) if trial is None else treat(network, findings, trial, verdict)
    losses, samples = path.sums.participation(path.horizon)
    return Diagnosis(
        trace.model, verdict, flags, path.horizon, path.decades, head.rate, head.half_life,
        taken(head.lags[0]), limits.as_dict(), treated, trace.notes, trace.checks, _spectrum(trace),
        reach=network.reach, whole=network.whole, asked=network.asked,
        at_input=path.input is not None, joint=path.layer.lags[0].joint,
        participation={"losses": losses, "samples": samples},
        by_layer=tuple([_verdict(layer, found) for layer, found in zip(layers, of_layers, strict=True)]),
        cell=head.cell.title, tried=tried, able=trial is not None and trial.able,
        horizon_in=network.entered_from(path), reach_in=network.entered_from(network.ending),
        update=network.update_from(path.horizon),
    )  # fmt: skip


def assert_healthy(
    trace: Trace | Any,
    *,
    horizon: int | None = None,
    allow: Sequence[str] = (),
    trial: Tries | None = None,
    **thresholds: float,
) -> Diagnosis:
    """Pass where the verdict is healthy, for a test suite; `allow` names further verdicts that pass.

    A gradient that is attenuated passes too, unless a horizon says that it is needed.

    Returns:
        the diagnosis.

    Raises:
        AssertionError: any other verdict, with the whole report as its message.
        InputError: as `diagnose`; or an unknown name in `allow`.
    """
    known_flags(allow, "allow")
    diagnosis = diagnose(trace, horizon=horizon, trial=trial, **thresholds)
    allowed = {"healthy", *(one for one in RULES if one not in VERDICTS), *allow}
    if horizon is None:
        allowed.add("attenuating")
    if "saturated" in allowed and not any(finding.rule == "vanishing" for finding in diagnosis.findings):
        allowed.add("vanishing")
    wrong = [flag for flag in diagnosis.flags if flag not in allowed]
    if wrong:
        raise AssertionError(f"the network is not healthy: {', '.join(wrong)}.\n\n{diagnosis.full()}")
    return diagnosis


def known_flags(names: Sequence[str], where: str, *beside: str) -> tuple[str, ...]:
    """Check names of flags, or of what is allowed beside them.

    Raises:
        InputError: one that does not exist.
    """
    known = (*VERDICTS, "healthy", *(rule for rule in RULES if rule not in VERDICTS), *beside)
    check_known(names, known, f"{where} names {{}}, which is no flag; choose among")
    return tuple(names)


def found_of(diagnosis: Diagnosis, names: Sequence[str]) -> tuple[str, ...]:
    """Give what is the verdict, flagged, found where it never is a verdict, or so grave, of what these names ask for.

    What is worse of the same counts too: an error is more than a warning, and what has vanished is attenuated.
    """
    says = {flag: {flag} for flag in diagnosis.flags}
    for one in diagnosis.findings:
        says.setdefault(one.rule, set()).update({one.severity} if one.rule in VERDICTS else {one.severity, one.rule})
    for found in says.values():
        found |= {less for more, less in ((ERROR, WARNING), ("vanishing", "attenuating")) if more in found}
    return tuple(rule for rule, found in says.items() if not found.isdisjoint(names))


def _check(trace: Trace) -> None:
    statuses = {int(one) for state in trace.states for one in state.grad.status}
    if trace.states and statuses == {Status.UNOBSERVED}:
        raise InputError(
            "the trace holds no gradients: walk a loss, or the gradient of an output, back before the diagnosis."
        )


def _judge(network: Network, layer: Layer) -> list[Finding]:
    first, *placed = PLACED_RULES
    silent = first(network, layer)
    if silent:
        return [silent]
    found = [one for rule in LAYER_RULES if (one := rule(layer))]
    return found + [one for rule in placed if (one := rule(network, layer))]


def _verdict(layer: Layer, findings: Sequence[Finding]) -> LayerVerdict:
    rules = [one.rule for one in findings]
    named = (*VERDICTS, "readout", "bypassed")
    limits = layer.limits
    by_size = (
        "vanishing" if layer.left <= limits.vanishing
        else "attenuating" if layer.left <= limits.attenuating
        else "healthy"
    )  # fmt: skip
    verdict = next((one for one in named if one in rules), by_size)
    return LayerVerdict(
        layer.name, layer.recurrence.layer, layer.recurrence.direction, verdict, layer.horizon,
        layer.left, layer.decades, layer.decades_from_first, layer.peak, layer.rate, layer.half_life,
        update_from([layer.update], layer.horizon),
    )  # fmt: skip


def _flags(findings: Sequence[Finding]) -> tuple[str, ...]:
    rules = [finding.rule for finding in findings if finding.severity != NOTE or finding.rule == "attenuating"]
    if "saturated" in rules:
        rules.append("vanishing")  # what saturation took has vanished all the same; one finding says both
    # That no loss reaches one recurrence among others is a warning, and no verdict on those that learn.
    beside = {finding.rule for finding in findings if finding.rule == "no_signal" and finding.severity == WARNING}
    verdicts = [verdict for verdict in VERDICTS if verdict in rules and verdict not in beside] or ["healthy"]
    return (*verdicts, *dict.fromkeys(rule for rule in rules if rule not in verdicts))


def _headline(layers: Sequence[Layer], network: Network, verdict: str) -> Layer:
    """Choose the layer whose pace stands at the top: the one that grows most, else the one that reads the input."""
    if verdict != "exploding":
        return network.head.layer
    return max(layers, key=lambda layer: layer.peak if not math.isnan(layer.peak) else -math.inf)


def _order(finding: Finding) -> tuple[int, int]:
    ranks = (*VERDICTS, finding.rule)
    return (ERROR, WARNING, NOTE).index(finding.severity), ranks.index(finding.rule)


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


def network_seen(trace: Trace) -> Network | None:
    """Gather what a view's verdict rests on; None where there are no lags, or nothing on which one can be given."""
    if not trace.lags:
        return None
    try:
        return network_in(trace)
    except RnnGraphError:  # a picture of a trace on which no verdict can be given is still a picture
        return None


def verdict_of(trace: Trace) -> Diagnosis | None:
    """Diagnose a trace for a view; None where no verdict can be given."""
    network = network_seen(trace)
    return None if network is None else judge(network)


def headline_of(trace: Trace) -> tuple[str, str, str] | None:
    """Judge a trace and give its three sentences; None where there is no verdict."""
    found = verdict_of(trace)
    return None if found is None else headline(found)
