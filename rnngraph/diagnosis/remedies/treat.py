"""From a finding to the same finding with what helps: tried on the captured batch, with before and after.

In: findings and who runs the network again. Out: findings, and everything that was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnngraph.diagnosis.finding import Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network
from rnngraph.diagnosis.remedies import advice
from rnngraph.diagnosis.remedies.search import CURES, search
from rnngraph.diagnosis.remedies.tried import Bench, Tried, Tries
from rnngraph.diagnosis.sentences import NECESSARY, left_text, times_text
from rnngraph.trace.change import ORTHOGONAL


def treat(
    network: Network, findings: Sequence[Finding], tries: Tries, verdict: str
) -> tuple[tuple[Finding, ...], tuple[Tried, ...]]:
    """Try remedies for the verdict, and put what helps in the place of its advice."""
    if verdict not in CURES or not tries.able:
        return tuple(findings), ()
    bench = Bench(network, tries)
    layers = {layer.states[0].name: layer for layer in network.layers}
    sick = next(one for one in findings if one.rule == verdict)
    if sick.cause in ("losses", "one step"):
        return tuple(findings), ()  # no weight of the recurrence is to blame
    layer = layers[str(sick.where["state"])]
    helping = search(bench, verdict, layer)
    cutting = network.asked is None and verdict in ("vanishing", "saturated", "exploding")
    cuts = _truncations(network, tries) if cutting else {}
    before = _before(network, verdict, layer)
    numbers, text = _numbers(bench, helping, cuts, before), _advice(bench, helping, cuts, before, sick, layer)
    treated = [
        replace(one, advice=text, evidence={**one.evidence, **numbers}) if one.rule == verdict else one
        for one in findings
    ]
    return tuple(treated), tuple(bench.done)


def _advice(
    bench: Bench, helping: Sequence[Tried], cuts: dict[int, float], before: str, finding: Finding, layer: Layer
) -> str:  # fmt: skip
    if helping:
        listed = "; or ".join(f"{one.words} ({one.left} at lag {bench.lag})" for one in helping)
        text = f"{listed[0].upper()}{listed[1:]}. Before, {before}. It was tried on this batch."
        text += "" if finding.rule == "exploding" else f" {NECESSARY}"
    elif bench.done:
        listed = "; ".join(one.words for one in bench.done)
        best = max(bench.done, key=lambda one: one.worth)
        text = f"Nothing that was tried on this batch helps ({listed}): {best.left} at best."
    else:
        text = f"{finding.advice} Nothing could be tried on this recurrence."
    if finding.rule == "exploding":
        near = [
            one for one in bench.done
            if one.changes[0].kind == ORTHOGONAL and bench.network.limits.vanishing < one.decades <= one.enough
            and one.peak < one.most
        ]  # fmt: skip
        if near:
            text += f" To {near[0].words} may train as well: {near[0].left}."
        text += f" {advice.clip(layer)}" if bench.done else ""
    for length, error in cuts.items():
        size = "under 1 %" if error < 0.01 else f"{100 * error:.0f} %"
        text += f" Truncation into chunks of {length} steps changes the weights' gradient by {size}."
    return text


def _before(network: Network, rule: str, layer: Layer) -> str:
    if rule == "exploding":
        return f"it grew {times_text(layer.peak)}"
    if rule == "unwritten":
        return "nothing was written"
    return f"it was {left_text(network.head.decades)}"


def _numbers(bench: Bench, helping: Sequence[Tried], cuts: dict[int, float], before: str) -> dict[str, Value]:
    left = bench.network.head.decades
    found: dict[str, Value] = {"tried": len(bench.done), "helped": len(helping), "before_decades": left}
    if helping:
        best = helping[0]
        found |= {
            "remedy": best.words, "after": best.left, "after_decades": best.decades, "after_peak": best.peak,
            "before": before,
        }  # fmt: skip
    return found | {f"truncation_error_{length}": error for length, error in cuts.items()}


def _truncations(network: Network, tries: Tries) -> dict[int, float]:
    """Measure how far chunks of about twice the reach are off; of half of the steps, where it reaches through."""
    steps = network.head.layer.recurrence.timesteps
    twice = 2 ** (2 * (network.reach or 1) - 1).bit_length()
    length = twice if twice < steps else steps // 2
    error = tries.truncation(length) if length > 1 else None
    return {} if error is None else {length: error}
