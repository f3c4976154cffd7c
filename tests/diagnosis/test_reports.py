"""The lines of a report, of diagnoses that are made up: what is said, in which order, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.judged import LayerVerdict
from rnngraph.diagnosis.remedies.tried import Tried
from rnngraph.diagnosis.report import NO_INPUT, NO_UPDATE, UNTRIED, Diagnosis, body
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.diagnosis.update import Update

INF, NAN = math.inf, math.nan
HALF = -math.log(2)
LIMITS = "Thresholds: " + ", ".join(f"{name} {value:g}" for name, value in Thresholds().as_dict().items()) + "."


def finding(rule: str, severity: str, *, cause: str = "why", **evidence: Any) -> Finding:
    known: dict[str, Any] = {"rate": HALF, "activation": "tanh", "saturation": "saturated", "saturated": 0.0,
             "activation_nats": NAN,
             "weight_nats": NAN}  # fmt: skip
    return Finding(rule, severity, {}, known | evidence, cause, f"mend {rule}.", f"{rule} was found.")


def a_diagnosis(*findings: Finding, verdict: str = "healthy", **facts: Any) -> Diagnosis:
    """A network of which half is left at lag 40."""
    known: dict[str, Any] = {
        "model": "net", "verdict": verdict, "flags": (verdict,), "horizon": 40, "decades": math.log10(0.5),
        "rate": HALF / 40, "half_life": 40.0, "measured": "all loss steps, 2 of 9 samples",
        "thresholds": Thresholds().as_dict(), "findings": findings, "reach": 40, "at_input": True, "able": True,
    }  # fmt: skip
    return Diagnosis(**known | facts)


def text(diagnosis: Diagnosis, **options: Any) -> list[str]:
    lines = ["".join(part for part, _ in line) for line in body(diagnosis, **{"full": False} | options)]
    return [line for line in lines if line]


# ---- the body
END = "Measured: all loss steps, 2 of 9 samples. More: print(diagnosis.full())."
HEALTHY = "Verdict: healthy at lag 40: 50 % is left at the input; halved every 40 steps; 1 % or more to lag 40."


def test_in_brief() -> None:
    assert text(a_diagnosis()) == [HEALTHY, END]


def test_what_was_checked_and_agrees_stands_in_full_alone() -> None:
    diagnosis = a_diagnosis(checks=("one step inside rnn and PyTorch's agree to 1e-07",), notes=("uncertain: the sum",))
    assert text(diagnosis) == [HEALTHY, "Note: uncertain: the sum.", END]
    assert "Checked: one step inside rnn and PyTorch's agree to 1e-07." in text(diagnosis, full=True)


@pytest.mark.parametrize(("facts", "words"), [
    ({"asked": 40}, "healthy at lag 40, the lag that is needed: 50 %"),
    ({"horizon_in": "encoder"}, "healthy at lag 40 in the encoder: 50 %"),
    ({"horizon_in": "encoder", "asked": 40}, "healthy at lag 40 in the encoder, the lag that is needed: 50 %"),
    ({"at_input": False}, "50 % is left in the states;"),
    ({"verdict": "unwritten"}, "Verdict: unwritten at lag 40."),
    ({"verdict": "exploding"}, "Verdict: exploding at lag 40."),
    ({"horizon": 1}, "Verdict: healthy at lag 1: 1 % or more to lag 40."),
    ({"rate": HALF / 401}, "50 % is left at the input; 1 % or more"),
    ({"whole": True}, "1 % or more to lag 40 at least."),
    ({"reach": None}, "halved every 40 steps."),
    ({"rate": 0.0}, "at the input; 1 % or more"),
    ({"decades": NAN}, "Verdict: healthy: no lag could be measured."),
    ({"decades": -9.0, "verdict": "no_signal"}, "Verdict: no signal at lag 40: next to nothing (1e-9) is left"),
])  # fmt: skip
def test_the_verdict(facts: dict[str, Any], words: str) -> None:
    assert words in text(a_diagnosis(**facts))[0]


def test_flags_are_listed_where_there_are_several() -> None:
    assert text(a_diagnosis(flags=("healthy", "blind_span")))[1] == "Flags: healthy, blind_span"


def test_findings_but_the_one_of_the_headline() -> None:
    found = finding("vanishing", "error"), finding("few_losses", "note"), finding("readout", "warning")
    diagnosis = a_diagnosis(*found, verdict="vanishing")
    assert text(diagnosis)[1:-1] == [
        "few losses (note): few_losses was found.", "readout (warning): readout was found.", "  advice: mend readout.",
    ]  # fmt: skip
    assert text(diagnosis, full=True)[1:-2] == [
        "vanishing (error): vanishing was found.", "  cause: why",
        "few losses (note): few_losses was found.", "  cause: why", "  advice: mend few_losses.",
        "readout (warning): readout was found.", "  cause: why", "  advice: mend readout.",
    ]  # fmt: skip


def a_verdict(name: str, left: float, decades: float, verdict: str = "healthy") -> LayerVerdict:
    return LayerVerdict(name, 0, "forward", verdict, 40, left, decades, left, 0.0, HALF / 40, 40.0)


def test_layers_where_there_are_several() -> None:
    assert text(a_diagnosis(by_layer=(a_verdict("one", -1.0, -1.0),))) == [HEALTHY, END]
    told = {
        a_verdict("one", -1.0, -9.0): "  one: healthy, 10 % is left in its states at lag 40",
        a_verdict("three", -2.0, -2.0, "dead_inputs"): "  three: dead inputs, 1 % is left in its states at lag 40",
        a_verdict("four", NAN, NAN, "too_short"): "  four: too short",
    }  # fmt: skip
    assert text(a_diagnosis(by_layer=tuple(told)))[1:-1] == list(told.values())
    assert len(text(a_diagnosis(by_layer=tuple(told)[:2]))) == 4
    many = tuple([a_verdict(f"l{k}", -1.0, -1.0) for k in range(8)])
    assert [line.split(":")[0] for line in text(a_diagnosis(by_layer=many))[1:-1]] == [
        *(f"  l{k}" for k in range(6)), "  and 2 more layers",
    ]  # fmt: skip
    assert "more layer" not in "".join(text(a_diagnosis(by_layer=many[:6])))
    assert text(a_diagnosis(by_layer=many[:7]))[-2] == "  and 1 more layer"
    assert len([line for line in text(a_diagnosis(by_layer=many), full=True) if line.startswith("  l")]) == 8


def test_in_full_the_update_and_all_limits() -> None:
    assert text(a_diagnosis(), full=True)[1:] == [
        NO_UPDATE, f"Horizon: lag 40. Measured: all loss steps, 2 of 9 samples. {LIMITS}",
    ]  # fmt: skip
    known = text(a_diagnosis(update=Update(32, -2.0)), full=True)[1]
    assert known == "Of the gradient of the weights 1 % comes from lag 32 and beyond."
    assert NO_UPDATE not in text(a_diagnosis(decades=NAN), full=True)


def test_what_was_tried() -> None:
    tries = Tried("open it", (), -1.0, 0.0), Tried("shut it", (), -5.0, 0.0)
    diagnosis = a_diagnosis(tried=tries)
    assert text(diagnosis) == [HEALTHY, END]
    assert text(diagnosis, tried=True)[1:-1] == [
        "Tried: open it: 10 % is left",
        "Tried: shut it: 1e-5 is left, in vain",
    ]


def test_notes() -> None:
    vanishing = finding("vanishing", "error")
    unable = a_diagnosis(vanishing, verdict="vanishing", able=False)
    assert text(unable)[-2] == f"Note: {UNTRIED}"
    assert text(unable, untried="so it is.")[-2] == "Note: so it is."
    assert len(text(replace(unable, able=True))) == len(text(unable)) - 1
    assert text(a_diagnosis(able=False)) == [HEALTHY, END]  # there is nothing to try
    assert text(a_diagnosis(at_input=False))[-2] == f"Note: {NO_INPUT}"
    assert f"Note: {NO_INPUT}" not in text(a_diagnosis(at_input=False, decades=NAN))
    assert text(a_diagnosis(notes=("one.", "two")))[1:-1] == ["Note: one.", "Note: two."]


def test_a_spectrum() -> None:
    stack = {"name": "rnn", "lyapunov": [0.5, -1.25], "singular": [2.0, 3.0, INF], "product_log": 5 * math.log(10)}
    bare = {"name": "gru", "lyapunov": [0.0], "singular": [INF], "product_log": NAN}
    weights = {"rnn.Wh": {"spectral_radius": 1.5, "largest_singular_value": 2.5},
               "gru.Wh": {"spectral_radius": NAN, "largest_singular_value": 0.5}}  # fmt: skip
    assert text(a_diagnosis(spectrum={"stacks": [stack, bare], "weights": weights}))[1:-1] == [
        "Lyapunov exponents of rnn: +0.5, -1.25 nats a step",
        "  largest singular value of a step: 2 to 3; of the whole product: 1e5",
        "Lyapunov exponents of gru: +0 nats a step",
        "  rnn.Wh: spectral radius 1.5, largest singular value 2.5",
        "  gru.Wh: largest singular value 0.5",
    ]  # fmt: skip


def test_the_whole_text() -> None:
    assert str(a_diagnosis(finding("readout", "warning"), flags=("healthy", "readout"))).split("\n")[:5] == [
        "It remembers: the input 40 steps back gets 50 % of the gradient that one a step back gets; beyond lag 40, "
        "under 1 % is left.",
        "Why  readout was found.", "Try  mend readout.",
         "",
        HEALTHY,
    ]  # fmt: skip
    assert str(a_diagnosis()).split("\n")[1:4] == [
        "Why  Each step back keeps 98.3 % of it; half is left after 40 steps.", "", HEALTHY,
    ]  # fmt: skip


def test_as_html() -> None:
    rows = a_diagnosis(finding("few_losses", "note"), notes=("<b>",))._repr_html_().splitlines()
    assert rows[0].endswith(
        '<span style="font-weight: bold">It remembers: the input 40 steps back gets 50 % of the gradient that one '
        "a step back gets; beyond lag 40, under 1 % is left.</span>"
    )
    assert rows[1].endswith("Why  </span>Each step back keeps 98.3 % of it; half is left after 40 steps.")
    assert rows[2] == ""
    (noted,) = [row for row in rows if "few losses (note)" in row]
    assert "color: #4477aa" in noted
    assert any(row.endswith("&lt;b&gt;.") for row in rows)  # a name is text and no tag


# ---- the three sentences
def dying(verdict: str = "vanishing", **facts: Any) -> str:
    return headline(a_diagnosis(finding(verdict, "error"), verdict=verdict, **{"reach": 7} | facts))[0]


@pytest.mark.parametrize(("facts", "title"), [
    ({}, "The gradient dies within 7 steps: further back, under 1 % of it is left."),
    ({"reach": 1}, "The gradient dies within 1 step: further back, under 1 % of it is left."),
    ({"verdict": "attenuating"}, "The gradient fades within 7 steps: further back, under 1 % of it is left."),
    ({"asked": 40}, "The gradient dies within 7 steps, and the task needs 40: further back, under 1 % of it is left."),
    ({"reach": 0}, "The gradient dies at once: not even 1 % of it goes a step back."),
    ({"reach": None, "asked": 9},
     "The gradient dies at once, and the task needs 9: not even 1 % of it goes a step back."),
    ({"reach_in": "encoder"},
     "The gradient dies 7 steps into the encoder: further back, under 1 % of what enters is left."),
    ({"reach_in": "encoder", "reach": 0},
     "The gradient dies where it enters the encoder: not even 1 % of it goes a step back."),
])  # fmt: skip
def test_it_dies(facts: dict[str, Any], title: str) -> None:
    assert dying(**facts) == title


BACK = "of the gradient that one a step back gets; beyond lag 40, under 1 % is left."


@pytest.mark.parametrize(("facts", "title"), [
    ({}, f"It remembers: the input 40 steps back gets 50 % {BACK}"),
    ({"at_input": False}, f"It remembers: a state 40 steps back gets 50 % {BACK}"),
    ({"decades": -1.0}, f"It remembers: the input 40 steps back gets 10 % {BACK}"),
    ({"decades": -1.01}, f"The gradient arrives, thinned: the input 40 steps back gets 9.8 % {BACK}"),
    ({"horizon": 1}, "It remembers: the input 1 step back gets its gradient; beyond lag 40, under 1 % is left."),
    ({"horizon": 1, "reach": 1, "whole": True},
     "It remembers: the input 1 step back gets its gradient; further back, none is judged."),
    ({"whole": True}, "It remembers: the input 40 steps back gets 50 % of the gradient that one a step back gets."),
    ({"horizon": 2}, f"It remembers: the input 2 steps back gets 50 % {BACK}"),
    ({"asked": 40}, f"It remembers: the input 40 steps back, which the task needs, gets 50 % {BACK}"),
    ({"horizon_in": "encoder"},
     "It remembers: the input 40 steps into the encoder gets 50 % of the gradient that one a step into the encoder "
     "gets."),
    ({"decades": 1.0, "whole": True},
     "It remembers: the input 40 steps back gets no less of the gradient than one a step back does (×10)."),
    ({"decades": NAN}, "Nothing is wrong with the gradient."),
])  # fmt: skip
def test_it_lives(facts: dict[str, Any], title: str) -> None:
    assert headline(a_diagnosis(**facts))[0] == title


@pytest.mark.parametrize(("facts", "why"), [
    ({}, "Each step back keeps 98.3 % of it; half is left after 40 steps."),
    ({"rate": HALF / 2, "half_life": 2.0, "horizon": 2},
     "Each step back keeps about three quarters of it (×0.71); half is left after 2 steps."),
    ({"rate": HALF, "half_life": 1.0, "horizon": 1}, "Each step back keeps half of it (×0.50)."),
    ({"rate": HALF / 401, "half_life": 401.0}, "Each step back keeps 99.8 % of it."),
    ({"rate": HALF / 400, "half_life": 400.0}, "Each step back keeps 99.8 % of it; half is left after 400 steps."),
    ({"rate": math.log(0.9994), "half_life": 1155.0, "horizon": 200},
     "Each step back keeps 99.9 % of it; half is left after 1200 steps."),
    ({"rate": math.log(0.9996), "half_life": 1733.0, "horizon": 200},
     "A step back takes next to nothing from it; half is left after 1700 steps."),
    ({"rate": 0.0, "half_life": None}, "A step back takes next to nothing from it."),
    ({"rate": 0.0004, "half_life": None}, "A step back takes next to nothing from it."),  # ×1.00 says nothing
    ({"rate": 0.006, "half_life": None}, "Each step back makes it ×1.01."),
    ({"rate": NAN, "half_life": None}, ""),
    ({"rate": 0.1, "half_life": None, "decades": 1.7}, "Each step back makes it ×1.11."),
    ({"joint": True}, "The loss reads many steps at once, and early ones need not be carried to it."),
    ({"rate": HALF, "half_life": 1.0, "decades": -0.3},
     "It is not kept evenly: what gives most of the gradient keeps more of it than the median does."),
    ({"rate": math.log(0.8), "half_life": 3.1, "horizon": 4, "decades": 0.0},  # all, where that would leave half
     "It is not kept evenly: what gives most of the gradient keeps more of it than the median does."),
    ({"rate": math.log(0.92), "half_life": 8.3, "decades": 0.3},
     "It is not kept evenly: what gives most of the gradient keeps more of it than the median does."),
    ({"rate": math.log(1.2), "half_life": None, "decades": 0.3},
     "It is not kept evenly: what gives most of the gradient keeps less of it than the median does."),
])  # fmt: skip
def test_what_a_step_takes_of_what_is_healthy(facts: dict[str, Any], why: str) -> None:
    even = facts.get("rate", HALF / 40) * (facts.get("horizon", 40) - 1) / math.log(10)
    assert headline(a_diagnosis(finding("few_losses", "note"), **{"decades": even} | facts))[1:] == (why, "")


@pytest.mark.parametrize(("numbers", "title", "why"), [
    ({"passed_lag": 9, "peak_lag": 30, "peak_decades": 6.0, "rate": math.log(1.5)},
     "The gradient explodes: ×100 within 9 steps, ×1 million within 30.",
      "Each step back makes it ×1.50, again and again."),
    ({"passed_lag": 1, "peak_lag": 1, "peak_decades": 6.0, "rate": 0.0},
     "The gradient explodes: ×100 within 1 step.", "It grows on part of its way, and shrinks on the rest."),
])  # fmt: skip
def test_it_explodes(numbers: dict[str, Any], title: str, why: str) -> None:
    assert headline(a_diagnosis(finding("exploding", "error", **numbers), verdict="exploding"))[:2] == (title, why)


def test_it_is_cut() -> None:
    title, why, attempt = headline(a_diagnosis(finding("truncated", "warning", window=9), verdict="truncated"))
    assert title == "The recurrence is cut: nothing is learned or judged of more than 8 steps back."
    assert (why, attempt) == ("", "mend truncated.")


HALVES = "Each step back keeps half of it (×0.50)"


@pytest.mark.parametrize(("numbers", "why"), [
    ({}, f"{HALVES}."),
    ({"rate": 0.0}, "It is not lost step by step."),
    ({"rate": NAN}, "It is not lost step by step."),
    ({"cause": "losses"}, "vanishing was found."),
    ({"cause": "one step", "lost_at": 7, "kept_there": -8.0},
     "It is lost at t=7: that step back alone keeps 1e-8 of it."),
    ({"cause": "gate", "gate": "forget gate", "gate_timescale": 1 / math.log(2)},
     f"{HALVES}: the forget gate is at 0.50, where 1 would keep everything."),
    ({"weight_nats": math.log(0.8), "activation_nats": math.log(0.6)},
     f"{HALVES}: tanh makes it about ×0.60, the recurrent weight ×0.80."),
    ({"weight_nats": math.log(0.6), "activation_nats": math.log(0.8), "spectral_radius": 1.0},
     f"{HALVES}: the recurrent weight Wh makes it about ×0.60, tanh ×0.80."),
    ({"weight_nats": math.log(0.5), "activation_nats": math.log(0.966)},
     f"{HALVES}: the recurrent weight makes it ×0.50."),
    ({"weight_nats": math.log(0.5), "activation_nats": math.log(0.964)},
     f"{HALVES}: the recurrent weight makes it about ×0.50, tanh ×0.96."),
    ({"weight_nats": math.log(1.2), "activation_nats": math.log(0.4), "saturated": 0.26, "activation": None},
     f"{HALVES}: the activation makes it about ×0.40, the recurrent weight ×1.20; 26 % of the units are saturated."),
    ({"saturated": 0.25}, f"{HALVES}."),
    ({"saturated": 0.26}, f"{HALVES}: 26 % of the units are saturated."),
    ({"extinct_in": "float64"}, f"{HALVES}."),
    ({"extinct_in": "float32"}, f"{HALVES}. float32 cannot tell what is left from nothing."),
])  # fmt: skip
def test_what_a_step_takes(numbers: dict[str, Any], why: str) -> None:
    assert headline(a_diagnosis(finding("vanishing", "error", **numbers), verdict="vanishing"))[1] == why


@pytest.mark.parametrize(("facts", "why"), [
    ({}, f"{HALVES}."),
    ({"decades": -13.0}, f"{HALVES}."),
    ({"decades": -INF}, f"{HALVES}."),
    ({"decades": -19.0}, f"{HALVES}. That is what the states keep at the median; at the input it falls faster."),
    ({"decades": -19.0, "at_input": False},
     f"{HALVES}. That is what the states keep at the median; what gives most of it falls faster."),
])  # fmt: skip
def test_a_pace_that_does_not_explain_what_is_left(facts: dict[str, Any], why: str) -> None:
    known = {"decades": 40 * math.log10(0.5), "rate": HALF}
    assert headline(a_diagnosis(finding("vanishing", "error"), verdict="vanishing", **known | facts))[1] == why


def test_no_pace_is_said_that_does_not_explain_what_is_left() -> None:
    assert "halved" not in text(a_diagnosis(decades=-2.0, rate=HALF))[0]
    assert "; halved every 40 steps; " in text(a_diagnosis())[0]


@pytest.mark.parametrize(("rule", "caveat"), [
    ("vanishing", " That is needed to learn from there, but may not be enough."), ("exploding", ""),
])  # fmt: skip
def test_what_to_try(rule: str, caveat: str) -> None:
    numbers = {"remedy": "open it", "after": "9 % is left", "before": "it was nothing"}
    places: dict[str, Any] = {"passed_lag": 3, "peak_lag": 9, "peak_decades": 4.0}
    assert headline(a_diagnosis(finding(rule, "error", **numbers, **places), verdict=rule))[2] == (
        f"Open it. Tried on this batch: 9 % is left at lag 40; before, it was nothing.{caveat}"
    )
