"""The three lines at the top of every report, picture and page: where it ends, why, and what to try, in plain words.

In: a trace and its diagnosis. Out: three sentences. A number that is small or large is said in words first, and exactly
in brackets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rnngraph.diagnosis.finding import NOTE, Finding
from rnngraph.diagnosis.judged import Judged
from rnngraph.diagnosis.sentences import counted, factor_text, kept_text, part_text, percent, times_text
from rnngraph.trace.model import Trace

_INNOCENT = 0.035  # a factor so near to 1 takes nothing
_MANY_SATURATED = 0.25
_WIDE = "float64"  # what this cannot tell from nothing, nobody would look for
_THIN = -1.0  # decades, below which nobody would say that it remembers


def headline(trace: Trace, diagnosis: Judged) -> tuple[str, str, str]:
    """Say where the gradient ends, why, and what to try; an empty sentence where there is nothing to say.

    Args:
        trace: what was judged.
        diagnosis: the verdict on it.
    """
    return sentences_of(diagnosis, dtype=trace.dtype)


def sentences_of(diagnosis: Judged, *, dtype: str = "") -> tuple[str, str, str]:
    """Give the three sentences from the diagnosis alone."""
    finding = next((one for one in diagnosis.findings if one.rule == diagnosis.verdict), None)
    title = TITLES[diagnosis.verdict](diagnosis, finding)
    why = WHYS.get(diagnosis.verdict, _text)(diagnosis, finding)
    if finding is not None and finding.evidence.get("extinct") and dtype not in ("", _WIDE):
        why += f" {dtype} cannot tell what is left from nothing."
    return title, why, _try(diagnosis, finding)


def _dies(diagnosis: Judged, finding: Finding | None) -> str:
    left, reach = percent(math.log10(diagnosis.thresholds["epsilon"])), diagnosis.reach
    word = "fades" if diagnosis.verdict == "attenuating" else "dies"
    needed = f", and the task needs {diagnosis.asked}" if diagnosis.asked is not None else ""
    if diagnosis.reach_in:
        where = f"the {diagnosis.reach_in}"
        if not reach:
            return f"The gradient {word} where it enters {where}{needed}: not even {left} of it goes a step back."
        into = f"{counted(reach, 'step')} into {where}{needed}"
        return f"The gradient {word} {into}: further back, under {left} of what enters is left."
    if not reach:
        return f"The gradient {word} at once{needed}: not even {left} of it goes a step back."
    return f"The gradient {word} within {counted(reach, 'step')}{needed}: further back, under {left} of it is left."


def _lives(diagnosis: Judged, finding: Finding | None) -> str:
    if math.isnan(diagnosis.decades):
        return "Nothing is wrong with the gradient."
    # What is left is counted from the input one step back, and said so: of one loss, seen at its states, it is another.
    way = f"into the {diagnosis.horizon_in}" if diagnosis.horizon_in else "back"
    far = f"{counted(diagnosis.horizon, 'step')} {way}" + (
        ", which the task needs," if diagnosis.asked is not None else ""
    )
    what, left = "the input" if diagnosis.at_input else "a state", percent(diagnosis.decades)
    if diagnosis.horizon == 1:
        return f"It remembers: {what} {far} gets its gradient; further back, none is judged."
    if left.startswith("×"):
        return f"It remembers: {what} {far} gets no less of the gradient than one a step {way} does ({left})."
    opening = "The gradient arrives, thinned" if diagnosis.decades < _THIN else "It remembers"
    return f"{opening}: {what} {far} gets {left} of the gradient that one a step {way} gets."


def _explodes(diagnosis: Judged, finding: Finding | None) -> str:
    numbers = finding.evidence if finding is not None else {}
    passed, lag = numbers.get("passed_lag"), numbers.get("peak_lag")
    peak = float(numbers.get("peak_decades") or 0.0)
    limit = times_text(diagnosis.thresholds["exploding"])
    far = f", {times_text(peak)} within {lag}" if lag != passed else ""
    return f"The gradient explodes: {limit} within {counted(int(passed or 0), 'step')}{far}."


def _unwritten(diagnosis: Judged, finding: Finding | None) -> str:
    return "It remembers, but nothing is written into what it remembers: its input is not heard."


def _truncated(diagnosis: Judged, finding: Finding | None) -> str:
    window = finding.evidence.get("window") if finding is not None else None
    return f"The recurrence is cut every {window} steps: nothing further back is learned, and only that much is judged."


def _plain(text: str) -> Callable[[Judged, Finding | None], str]:
    return lambda diagnosis, finding: text


TITLES: dict[str, Callable[[Judged, Finding | None], str]] = {
    "non_finite": _plain("There are numbers that are none: NaN or infinity."),
    "no_signal": _plain("No loss reaches the recurrence: nothing is learned at all."),
    "dead": _plain("The units are dead: no gradient gets through a step."),
    "dead_inputs": _plain("The input gets no gradient, although the states do."),
    "exploding": _explodes,
    "unwritten": _unwritten,
    "saturated": _dies,
    "vanishing": _dies,
    "too_short": _plain("This run is too short to tell: no loss has steps enough before it."),
    "truncated": _truncated,
    "attenuating": _dies,
    "healthy": _lives,
}


def _text(diagnosis: Judged, finding: Finding | None) -> str:
    return "" if finding is None else finding.text


def _keeps(diagnosis: Judged, finding: Finding | None) -> str:
    """Say what a step keeps, and which factor takes the rest."""
    if finding is None:
        return ""
    if finding.cause == "losses":
        return finding.text
    numbers = finding.evidence
    rate = _number(numbers.get("rate"))
    step = f"Each step back keeps {kept_text(math.exp(rate))}" if rate < 0 else "It is not lost step by step"
    factors = "; ".join(_gate(finding) if finding.cause == "gate" else _factors(finding))
    return f"{step}{': ' + factors if factors else ''}."


def _gate(finding: Finding) -> list[str]:
    timescale = _number(finding.evidence.get("gate_timescale"))
    if not timescale > 0:
        return []
    name = finding.evidence.get("gate") or "gate that keeps the state"
    return [f"the {name} is at {math.exp(-1 / timescale):.2f}, where 1 would keep everything"]


def _factors(finding: Finding) -> list[str]:
    """Say what either factor of a step makes of the gradient, the one that takes it first."""
    numbers = finding.evidence
    weight = "the recurrent weight" + (" Wh" if "spectral_radius" in numbers else "")
    activation, share = str(numbers.get("activation") or "the activation"), _number(numbers.get("saturated"))
    units = f"{part_text(share)} of the units are {numbers.get('saturation')}" if share > _MANY_SATURATED else ""
    known = [
        (word, math.exp(nats))
        for word, key in ((weight, "weight_nats"), (activation, "activation_nats"))
        if not math.isnan(nats := _number(numbers.get(key)))
    ]
    known.sort(key=lambda part: part[1])
    lost: list[str] = []
    for word, factor in [part for part in known if abs(part[1] - 1) > _INNOCENT]:
        verb = "grows" if factor > 1 else "shrinks"
        said = (
            f"{word} {factor_text(factor)}" if f" {verb} it" in str(lost) else f"{word} {verb} it {factor_text(factor)}"
        )
        lost.append(said + (f", since {units}" if units and word == activation else ""))
    innocent = [f"{word} is innocent ({factor_text(one)})" for word, one in known if abs(one - 1) <= _INNOCENT]
    return [*([", ".join(lost)] if lost else []), *innocent, *([units] if units and not known else [])]


def _grows(diagnosis: Judged, finding: Finding | None) -> str:
    rate = _number(finding.evidence.get("rate")) if finding is not None else math.nan
    if not rate > 0:
        return "It grows on part of its way, and shrinks on the rest."
    return f"Each step back makes it {factor_text(math.exp(rate))}, again and again."


def _healthy(diagnosis: Judged, finding: Finding | None) -> str:
    grave = [one for one in diagnosis.findings if one.severity != NOTE]
    if grave:
        return grave[0].text
    if not diagnosis.rate < 0 or diagnosis.half_life is None:
        return "A step back takes next to nothing from it."
    half = f"; half is left after {diagnosis.half_life:.0f} steps" if diagnosis.half_life >= 2 else ""
    return f"Each step back keeps {kept_text(math.exp(diagnosis.rate))}{half}."


WHYS: dict[str, Callable[[Judged, Finding | None], str]] = {
    "exploding": _grows,
    "saturated": _keeps,
    "vanishing": _keeps,
    "attenuating": _keeps,
    "healthy": _healthy,
}


def _try(diagnosis: Judged, finding: Finding | None) -> str:
    if finding is not None and "remedy" in finding.evidence:
        numbers = finding.evidence
        remedy, lag = str(numbers["remedy"]), diagnosis.horizon
        return (
            f"{remedy[0].upper()}{remedy[1:]}. Tried on this batch: {numbers['after']} at lag {lag}; before, "
            f"{numbers['before']}."
        )
    if finding is not None:
        return finding.advice
    return next((one.advice for one in diagnosis.findings if one.severity != NOTE), "")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
