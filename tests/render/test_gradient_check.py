from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
from rich.console import Console

import rnngraph as rg
from rnngraph.autodiff.check.front import check
from rnngraph.autodiff.check.report import CheckReport, CheckRow, Culprit
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
    lines = {line.split()[0]: line for line in shown(REPORT).splitlines() if line.strip()}
    assert lines["rnn.Wx"].split() == ["rnn.Wx", "2.5000e-01", "2.5000e-01", "1.0e-11", "ok"]
    assert lines["rnn.b"].endswith("too small to tell")
    assert lines["rnn.Wh"].endswith("wrong")
    text = " ".join(shown(REPORT).split())
    assert str(CULPRIT) in text
    assert "1 of 3 gradients differ from central differences (float64, tolerance 1e-06)" in text


def test_what_cannot_be_told_and_does_not_pass_is_not_called_wrong() -> None:
    report = CheckReport((RIGHT, replace(UNSURE, passed=False)), (), 1e-6, "float64", "rnn.b: not finite.")
    text = " ".join(shown(report).split())
    assert "1.0e+00 cannot tell" in text
    assert "Not every gradient can be compared with central differences (float64, tolerance 1e-06). rnn.b: not" in text
    assert "wrong" not in text


def test_the_conclusion_says_where_the_fault_is() -> None:
    assert "All 1 gradients agree" in shown(replace(REPORT, rows=(RIGHT,), culprits=()))
    assert "a rule is wrong in itself" in shown(replace(REPORT, rows=(RIGHT,)))
    assert "how gradients are added up" in " ".join(shown(replace(REPORT, culprits=())).split())


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
    assert "All 1 gradients agree" in shown(report)
