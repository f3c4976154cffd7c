from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
from rich.console import Console

import rnngraph as rg
from rnngraph.gradcheck.front import check
from rnngraph.gradcheck.report import CheckReport, CheckRow, Culprit
from rnngraph.render.report.gradient_check import check_json, check_report
from tests.typed import strict

RIGHT = CheckRow("rnn.Wx", 0.25, 0.25, 1e-11, True)
UNSURE = CheckRow("rnn.b", 1e-30, 0.0, 1.0, True, resolved=False)
WRONG = CheckRow("rnn.Wh", 0.25, -0.5, 3.0, False)
CULPRIT = Culprit("tanh", 0, "x", 12, 3, "rnn.0/forward", float("nan"), float("nan"), float("nan"), "a wrong shape")
REPORT = CheckReport((RIGHT, UNSURE, WRONG), (CULPRIT,), 1e-6, "float64")


def shown(report: CheckReport) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100).print(check_report(report))
    return stream.getvalue()


def test_every_row_has_its_verdict_and_the_culprit_its_sentence() -> None:
    verdict, _, *lines = shown(REPORT).splitlines()
    assert verdict == "gradients DIFFER from central differences (float64, tolerance 1e-06)"
    assert lines[0].split() == ["rnn.Wx", "2.5000e-01", "2.5000e-01", "1.0e-11", "ok"]
    assert lines[1].split()[0] == "rnn.b"
    assert lines[1].endswith("too small to tell")
    assert lines[2].endswith("WRONG")
    assert " ".join(lines[3:]) == str(CULPRIT)


def test_what_cannot_be_told_and_does_not_pass_is_not_called_wrong() -> None:
    report = CheckReport((RIGHT, replace(UNSURE, passed=False)), (), 1e-6, "float64", "rnn.b: not finite.")
    lines = shown(report).splitlines()
    assert lines[0] == "gradients CANNOT all be compared with central differences (float64, tolerance 1e-06)"
    assert lines[3].split()[3:] == ["1.0e+00", "cannot", "tell"]
    assert lines[4] == "rnn.b: not finite."
    assert "WRONG" not in shown(report)


def test_a_wrong_rule_is_wrong_also_where_every_gradient_agrees() -> None:
    assert shown(replace(REPORT, rows=(RIGHT,), culprits=())).startswith("gradients agree with")
    assert shown(replace(REPORT, rows=(RIGHT,))).startswith("gradients DIFFER from")


def test_verdicts_are_coloured_and_names_are_not_obeyed() -> None:
    text = check_report(replace(REPORT, rows=(RIGHT, UNSURE, replace(WRONG, name="rnn\x1b[2J\n.Wh"))))
    styles = {text.plain[span.start : span.end].strip(): str(span.style) for span in text.spans}
    assert [styles[key] for key in ("ok", "too small to tell", "WRONG")] == ["green", "yellow", "bold red"]
    assert "\x1b" not in text.plain
    assert text.plain.count("\n") == 5


def test_the_document_is_strict_json_with_every_field() -> None:
    document = strict(check_json(REPORT))
    assert (document["schema"], document["passed"]) == (1, False)
    assert document["rows"][1] == {
        "name": "rnn.b",
        "analytic": 1e-30,
        "numeric": 0.0,
        "relative_error": 1.0,
        "passed": True,
        "resolved": False,
    }
    assert document["culprits"][0]["op"] == "tanh"
    assert document["culprits"][0]["timestep"] == 3
    assert document["culprits"][0]["analytic"] is None


def test_a_real_check_passes() -> None:
    tape = rg.Tape()
    loss = (tape.input(np.array([0.5, -1.0]), name="x").tanh() ** 2).sum()
    report = check(loss)
    assert json.loads(check_json(report))["passed"] is True
    assert shown(report).startswith("gradients agree with")
