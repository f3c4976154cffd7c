"""Networks whose credit takes other ways than their states' lags show; `tests/benchmarks/paths.py` runs more seeds."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from tests.benchmarks.paths import new_rule, old_rule
from tests.diagnosis.path_networks import FIXTURES, Fixture

BY_NAME = {fixture.name: fixture for fixture in FIXTURES}


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_the_verdict_is_the_truth(fixture: Fixture) -> None:
    with np.errstate(all="ignore"):
        assert new_rule(fixture.make(11), fixture) == fixture.truth


def test_the_states_alone_would_miss_it() -> None:
    missed = ("S2 tanh, attention", "S4 LSTM keeps, output gate shut", "S5 LSTM keeps, input gate shut")
    for fixture in (BY_NAME[name] for name in missed):
        assert old_rule(fixture.make(11), fixture) != fixture.truth


def test_what_is_not_wrong_without_a_need_is_wrong_with_one() -> None:
    fixture = BY_NAME["default LSTM, lag 89"]
    trace = rg.record(fixture.make(0), lags=True)
    severities = {
        horizon: next(one.severity for one in rg.diagnose(trace, horizon=horizon).findings if one.rule == "vanishing")
        for horizon in (None, 89)
    }
    assert severities == {None: "warning", 89: "error"}
    assert rg.diagnose(trace, horizon=3).verdict == "healthy"


def test_the_readout_is_a_factor_once() -> None:
    diagnosis = rg.diagnose(rg.record(BY_NAME["S4 LSTM keeps, output gate shut"].make(0), lags=True))
    (finding,) = [one for one in diagnosis.findings if one.rule == "readout"]
    # The output gate leaves sigmoid(-10) of the gradient of h to the cell, and tanh(c) takes some more of it.
    assert -np.log10(1 / (1 + np.exp(10))) < float(finding.evidence["once_decades"]) < 6  # type: ignore[arg-type]
    assert abs(float(finding.evidence["decades_from_first"])) < 0.1  # type: ignore[arg-type]
    assert diagnosis.flags == ("healthy", "readout")


def test_what_is_shut_is_read_off_the_input() -> None:
    diagnosis = rg.diagnose(rg.record(BY_NAME["S5 LSTM keeps, input gate shut"].make(0), lags=True), horizon=89)
    (finding,) = [one for one in diagnosis.findings if one.rule == "unwritten"]
    # Written is i·g'·Wxg: sigmoid(-20) is 1e-8.7, and the rest is of order 1.
    assert -10.5 < float(finding.evidence["written_decades"]) < -8.5  # type: ignore[arg-type]
    assert finding.severity == "error"
    assert finding.evidence["carrier"] == "lstm"


@pytest.mark.parametrize(("name", "words"), [
    ("S2 tanh, first and last step", "of 90 steps"),
    ("S2 LSTM both ways, read at both ends", "t = "),
])  # fmt: skip
def test_what_is_not_heard_is_named(name: str, words: str) -> None:
    diagnosis = rg.diagnose(rg.record(BY_NAME[name].make(0), lags=True), horizon=89)
    (finding,) = [one for one in diagnosis.findings if one.rule == "blind_span"][:1]
    assert finding.severity == "warning"
    assert "next to nothing" in finding.text
    assert 40 < int(finding.evidence["positions"]) < 90  # type: ignore[arg-type]
    assert "blind_span" in diagnosis.flags
    assert diagnosis.healthy
    assert words in finding.text or words == "of 90 steps"


def test_a_mean_hears_every_step() -> None:
    diagnosis = rg.diagnose(rg.record(BY_NAME["S2 tanh, mean of all steps"].make(0), lags=True))
    assert diagnosis.flags == ("healthy",)
    assert diagnosis.measured.startswith("all loss steps")
