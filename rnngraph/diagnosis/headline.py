"""The three lines at the top of every report and picture: what, why, and what to try, in plain words.

In: a trace and its diagnosis. Out: three sentences. Every number that is small or large is said in words first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rnngraph.diagnosis.finding import NOTE, Finding
from rnngraph.diagnosis.judged import Judged
from rnngraph.diagnosis.sentences import counted, percent, times
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    pass


def headline(trace: Trace, diagnosis: Judged) -> tuple[str, str, str]:
    """Say what was found, why, and what to try; an empty sentence where there is nothing to say.

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
    if finding is not None and finding.evidence.get("extinct") and dtype:
        why += f" Beside a term of short lag {dtype} cannot tell what is left from nothing."
    return title, why, _try(diagnosis, finding)


def _dies(diagnosis: Judged, finding: Finding | None) -> str:
    left, reach = _epsilon(diagnosis), diagnosis.reach
    word = "fades" if diagnosis.verdict == "attenuating" else "dies"
    if not reach:
        return f"The gradient {word} at once: not even {left} of it goes a step back."
    asked = f" The task needs lag {diagnosis.asked}." if diagnosis.asked is not None else ""
    return f"The gradient {word} within {counted(reach, 'step')}: further back, under {left} of it is left.{asked}"


def _lives(diagnosis: Judged, finding: Finding | None) -> str:
    left = percent(diagnosis.decades)
    left = f"{times(diagnosis.decades)} as much" if left.startswith("×") else left
    far = "the lag that is needed" if diagnosis.asked is not None else "as far back as most losses have steps"
    if math.isnan(diagnosis.decades):
        return "Nothing is wrong with the gradient."
    return f"It remembers: {left} of the gradient is left at lag {diagnosis.horizon}, {far}."


def _explodes(diagnosis: Judged, finding: Finding | None) -> str:
    numbers = finding.evidence if finding is not None else {}
    passed, lag = numbers.get("passed_lag"), numbers.get("peak_lag")
    peak = float(numbers.get("peak_decades") or 0.0)
    limit = times(diagnosis.thresholds["exploding"])
    far = f", {times(peak)} at lag {lag}" if lag != passed else ""
    return f"The gradient explodes: {limit} and more at lag {passed}{far}."


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
    step = f"Each step back keeps {_share(math.exp(rate))} of it" if rate < 0 else "It is not lost step by step"
    gate = _number(numbers.get("gate_timescale"))
    if finding.cause == "gate" and gate > 0:
        return f"{step}: the gate that keeps the state is at {math.exp(-1 / gate):.2f}, where 1 would keep everything."
    weight, activation = (_number(numbers.get(key)) for key in ("weight_nats", "activation_nats"))
    parts = [
        f"{word} it ×{math.exp(value):.2g}"
        for word, value in (("the recurrent weight makes", weight), ("the activation makes", activation))
        if not math.isnan(value)
    ]
    saturated = _number(numbers.get("saturated"))
    flat = f"; {saturated:.0%} of the units are saturated" if finding.rule == "saturated" and saturated > 0 else ""
    return f"{step}{': ' + ' and '.join(parts) if parts else ''}{flat}."


def _grows(diagnosis: Judged, finding: Finding | None) -> str:
    rate = _number(finding.evidence.get("rate")) if finding is not None else math.nan
    if not rate > 0:
        return "It grows on part of its way, and shrinks on the rest."
    return f"Each step back makes it ×{math.exp(rate):.3g}, again and again."


def _healthy(diagnosis: Judged, finding: Finding | None) -> str:
    grave = [one for one in diagnosis.findings if one.severity != NOTE]
    if grave:
        return grave[0].text
    if not diagnosis.rate < 0 or diagnosis.half_life is None:
        return "A step back takes next to nothing from it."
    return (
        f"Each step back keeps {_share(math.exp(diagnosis.rate))} of it; half is left after {diagnosis.half_life:.3g}."
    )


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
            f"{remedy[0].upper()}{remedy[1:]}: tried on this batch, {numbers['after']} at lag {lag}; before, "
            f"{numbers['before']}."
        )
    if finding is not None:
        return finding.advice
    return next((one.advice for one in diagnosis.findings if one.severity != NOTE), "")


def _share(kept: float) -> str:
    """Say a share in words where it is a plain one, and exactly in brackets."""
    words = {0.5: "half", 0.25: "a quarter", 0.1: "a tenth", 0.01: "a hundredth"}
    for share, word in words.items():
        if abs(kept / share - 1) < 0.12:
            return f"about {word} (×{kept:.2g})"
    return f"{100 * kept:.3g} %" if kept >= 0.95 else f"{100 * kept:.2g} %"


def _epsilon(diagnosis: Judged) -> str:
    return percent(math.log10(diagnosis.thresholds["epsilon"]))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
