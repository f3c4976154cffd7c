"""The three lines at the top of every report, picture and page: where it ends, why, and what to try, in plain words.

In: a diagnosis. Out: three sentences. A number that is small or large is said in words first, and exactly
in brackets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rnngraph.diagnosis.finding import NOTE, Finding
from rnngraph.diagnosis.judged import Judged
from rnngraph.diagnosis.sentences import (
    NECESSARY,
    amount_text,
    counted,
    factor_text,
    kept_text,
    part_text,
    percent,
    times_text,
    unexplained,
)
from rnngraph.diagnosis.thresholds import FAR

_NEAR = 0.035  # a factor so near to 1 is not worth a word
_MANY_SATURATED = 0.25
_WIDE = "float64"  # what this cannot tell from nothing, nobody would look for
_EACH = "Each step back keeps"
_STEADY, _ALL = "A step back takes next to nothing from it", 0.0005  # what would be written as 100 % or ×1.00
_THIN = -1.0  # decades, below which nobody would say that it remembers


def headline(diagnosis: Judged) -> tuple[str, str, str]:
    """Say where the gradient ends, why, and what to try; an empty sentence where there is nothing to say."""
    finding = next((one for one in diagnosis.findings if one.rule == diagnosis.verdict), None)
    if finding is None:
        return _lives(diagnosis), *_beside(diagnosis)
    title, why = VERDICTS[finding.rule].title, VERDICTS[finding.rule].why(finding)
    if why.startswith(_EACH) and apart(diagnosis) > 0:
        others = "at the input it falls faster" if diagnosis.at_input else "what gives most of it falls faster"
        why += f" That is what the states keep at the median; {others}."
    dtype = finding.evidence.get("extinct_in")
    if dtype not in (None, _WIDE) and diagnosis.decades > -math.inf:
        why += f" {dtype} cannot tell what is left from nothing."
    return title if isinstance(title, str) else title(diagnosis, finding), why, _try(diagnosis, finding)


def counts(diagnosis: Judged) -> str:
    """Say of what the numbers of the title are: a view of the states of one loss has others beside it."""
    if diagnosis.verdict in VERDICTS and VERDICTS[diagnosis.verdict].title not in (_dies, _explodes):
        return ""
    if diagnosis.verdict == "exploding":
        return "The title counts all losses."
    return f"The title counts all losses{', at the inputs,' if diagnosis.at_input else ''} from lag 1."


def _dies(diagnosis: Judged, finding: Finding) -> str:
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


def _lives(diagnosis: Judged) -> str:
    if math.isnan(diagnosis.decades):
        return "Nothing is wrong with the gradient."
    # What is left is counted from the input one step back, and said so: of one loss, seen at its states, it is another.
    way = f"into the {diagnosis.horizon_in}" if diagnosis.horizon_in else "back"
    far = f"{counted(diagnosis.horizon, 'step')} {way}" + (
        ", which the task needs," if diagnosis.asked is not None else ""
    )
    what, left = "the input" if diagnosis.at_input else "a state", percent(diagnosis.decades)
    ends = math.log10(diagnosis.thresholds["epsilon"])
    entered = diagnosis.horizon_in or diagnosis.reach_in  # of two clocks: their lags are not the same
    over = diagnosis.whole or entered or diagnosis.reach is None
    beyond = "" if over else f"; beyond lag {diagnosis.reach}, under {percent(ends)} is left"
    if diagnosis.horizon == 1:
        return f"It remembers: {what} {far} gets its gradient{beyond or '; further back, none is judged'}."
    if left.startswith("×"):
        return f"It remembers: {what} {far} gets no less of the gradient than one a step {way} does ({left}){beyond}."
    opening = "The gradient arrives, thinned" if diagnosis.decades < _THIN else "It remembers"
    return f"{opening}: {what} {far} gets {left} of the gradient that one a step {way} gets{beyond}."


def _beside(diagnosis: Judged) -> tuple[str, str]:
    """Say of a healthy network what else is wrong and what to do, or what a step back takes."""
    grave = next((one for one in diagnosis.findings if one.severity != NOTE), None)
    if grave is not None:
        return grave.text, grave.advice
    if diagnosis.joint:
        return "The loss reads many steps at once, and early ones need not be carried to it.", ""
    if math.isnan(diagnosis.rate):
        return "", ""
    less, kept = apart(diagnosis), math.exp(diagnosis.rate)
    if less:
        some = "less" if less > 0 else "more"
        return f"It is not kept evenly: what gives most of the gradient keeps {some} of it than the median does.", ""
    if kept > 1 + _ALL:
        return f"Each step back makes it {factor_text(kept)}.", ""
    near = diagnosis.half_life is not None and diagnosis.half_life >= 2 and tells(diagnosis)
    half = f"; half is left after {amount_text(diagnosis.half_life or 0.0)} steps" if near else ""
    return (f"{_EACH} {kept_text(kept)}" if kept < 1 - _ALL else _STEADY) + f"{half}.", ""


def apart(diagnosis: Judged) -> float:
    """Give the decades by which less is left at the horizon than the pace of the states explains; 0 where it does."""
    return unexplained(diagnosis.rate, diagnosis.horizon, diagnosis.decades)


def tells(diagnosis: Judged) -> bool:
    """Whether the pace makes a difference within some horizons: beyond, nobody asks when half is left."""
    return abs(diagnosis.rate) * FAR * diagnosis.horizon >= math.log(2)


def _explodes(diagnosis: Judged, finding: Finding) -> str:
    passed, lag, peak = (_number(finding.evidence[key]) for key in ("passed_lag", "peak_lag", "peak_decades"))
    far = f", {times_text(peak)} within {lag:.0f}" if lag != passed else ""
    limit = times_text(diagnosis.thresholds["exploding"])
    return f"The gradient explodes: {limit} within {counted(int(passed), 'step')}{far}."


def _truncated(diagnosis: Judged, finding: Finding) -> str:
    window = int(_number(finding.evidence["window"]))
    return f"The recurrence is cut: nothing is learned or judged of more than {counted(window - 1, 'step')} back."


def _text(finding: Finding) -> str:
    return finding.text


def _keeps(finding: Finding) -> str:
    """Say what a step keeps, and which factor takes the rest."""
    if finding.cause == "losses":
        return finding.text
    if finding.cause == "one step":
        there = percent(_number(finding.evidence["kept_there"]))
        return f"It is lost at t={finding.evidence['lost_at']}: that step back alone keeps {there} of it."
    rate = _number(finding.evidence["rate"])
    step = f"{_EACH} {kept_text(math.exp(rate))}" if rate < 0 else "It is not lost step by step"
    if finding.evidence["weight_nats"] == -math.inf:
        step = "No step back keeps anything"
    factors = _gate(finding) if finding.cause == "gate" else _factors(finding)
    return f"{step}{': ' + factors if factors else ''}."


def _gate(finding: Finding) -> str:
    kept = math.exp(-1 / _number(finding.evidence["gate_timescale"]))
    return f"the {finding.evidence['gate']} is at {kept:.2f}, where 1 would keep everything"


def _factors(finding: Finding) -> str:
    """Say what either factor of a step makes of the gradient, the one that takes it first.

    Two are "about" so much: each is a median over the steps, and two medians need not multiply to the pace; ×0 is
    exact.
    """
    numbers = finding.evidence
    weight = "the recurrent weight" + (" Wh" if "spectral_radius" in numbers else "")
    activation, share = str(numbers["activation"] or "the activation"), _number(numbers["saturated"])
    known = (
        (weight, math.exp(_number(numbers["weight_nats"]))),
        (activation, math.exp(_number(numbers["activation_nats"]))),
    )
    telling = sorted([one for one in known if abs(one[1] - 1) > _NEAR], key=lambda one: one[1])
    verbs = "makes it about " if len(telling) > 1 and telling[0][1] > 0 else "makes it ", ""
    parts = [f"{word} {verb}{factor_text(factor)}" for (word, factor), verb in zip(telling, verbs, strict=False)]
    said = [", ".join(parts)]
    said += [f"{part_text(share)} of the units are {numbers['saturation']}"] if share > _MANY_SATURATED else []
    return "; ".join(one for one in said if one)


def _grows(finding: Finding) -> str:
    rate = _number(finding.evidence["rate"])
    if not rate > 0:
        return "It grows on part of its way, and shrinks on the rest."
    return f"Each step back makes it {factor_text(math.exp(rate))}, again and again."


@dataclass(frozen=True, slots=True)
class Said:
    """What stands over a network with a verdict: where, and why."""

    title: str | Callable[[Judged, Finding], str]
    why: Callable[[Finding], str] = _text


# The verdict is the first of these that is found graver than as a note; where none is, the network is healthy.
VERDICTS = {
    "non_finite": Said("The numbers break down: there is NaN or infinity among them."),
    "no_signal": Said("No loss reaches the recurrence: nothing is learned at all."),
    "dead": Said("The units are dead: no gradient gets through a step."),
    "dead_inputs": Said("The input gets no gradient, although the states do."),
    "exploding": Said(_explodes, _grows),
    "unwritten": Said("It remembers, but nothing is written into what it remembers: its input is not heard."),
    "saturated": Said(_dies, _keeps),
    "vanishing": Said(_dies, _keeps),
    "too_short": Said("This run is too short to tell: no loss has steps enough before it."),
    "truncated": Said(_truncated, lambda finding: ""),
    "attenuating": Said(_dies, _keeps),
}


def _try(diagnosis: Judged, finding: Finding) -> str:
    numbers = finding.evidence
    if "remedy" not in numbers:
        return finding.advice
    remedy, lag = str(numbers["remedy"]), diagnosis.horizon
    tried = f"Tried on this batch: {numbers['after']} at lag {lag}; before, {numbers['before']}."
    return f"{remedy[0].upper()}{remedy[1:]}. {tried}" + ("" if finding.rule == "exploding" else f" {NECESSARY}")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
