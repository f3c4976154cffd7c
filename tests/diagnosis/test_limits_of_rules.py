"""Every threshold decides where it stands: at the measured number the rule holds, and just beside it it does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.model import Trace
from tests.diagnosis.path_networks import (
    FULL,
    D,
    H,
    T,
    both_ends,
    classes,
    fed,
    gate,
    head,
    keeping,
    last,
    of_two,
)  # fmt: skip
from tests.diagnosis.verdict_networks import linear
from tests.linear_cells import orthogonal

STEP = 1e-6


def traced(loss: rg.Tensor) -> Trace:
    return rg.record(loss, lags=FULL)


def rules(trace: Trace, **limits: Any) -> set[str]:
    return {finding.rule for finding in rg.diagnose(trace, **limits).findings}


def holds_at(trace: Trace, rule: str, name: str, number: float, *, below: bool, **options: Any) -> None:
    """Hold a rule to a threshold: with `below` it holds where the threshold is the number or more, else or less."""
    inside, outside = (number + STEP, number - STEP) if below else (number - STEP, number + STEP)
    assert rule in rules(trace, **{name: number}, **options)
    assert rule in rules(trace, **{name: inside}, **options)
    assert rule not in rules(trace, **{name: outside}, **options)


def test_vanishing_and_attenuating() -> None:
    trace = linear(0.9 * orthogonal(4), time=61)
    left = rg.diagnose(trace).decades
    assert left == pytest.approx(59 * math.log10(0.9))
    holds_at(trace, "vanishing", "vanishing", left, below=True)
    holds_at(trace, "attenuating", "attenuating", left, below=True)
    assert "attenuating" not in rules(trace, vanishing=left)  # the graver one of two


def test_exploding() -> None:
    trace = linear(1.1 * orthogonal(4), time=61)
    peak = rg.diagnose(trace).by_layer[0].peak
    assert peak == pytest.approx(60 * math.log10(1.1))
    holds_at(trace, "exploding", "exploding", peak, below=False)


def test_the_lag_at_which_it_has_exploded() -> None:
    (finding,) = [one for one in rg.diagnose(linear(1.25 * orthogonal(4), time=40)).findings if one.rule == "exploding"]
    assert finding.evidence["passed_lag"] == 21  # 1.25 ** 20 = 87, 1.25 ** 21 = 108
    assert finding.evidence["peak_lag"] == 39
    # The loss reads a unit of which a thousand times as much is there a step back, once: no growth, in any number.
    once = linear(np.array([[0.0, 1000.0], [0.0, 1.5]]), time=30, readout=np.array([1.0, 0.0]))
    (finding,) = rg.diagnose(once).findings
    assert (finding.evidence["passed_lag"], finding.evidence["peak_lag"]) == (13, 29)  # 1.5 ** 12 = 130


def test_reach() -> None:
    trace = linear(0.9 * orthogonal(4), time=61)
    assert rg.diagnose(trace, epsilon=0.9**9 * (1 + STEP)).reach == 9  # at lag 10 it is 0.9 ** 9
    assert rg.diagnose(trace, epsilon=0.9**9 * (1 - STEP)).reach == 10
    assert not rg.diagnose(trace).whole
    assert rg.diagnose(linear(orthogonal(4), time=61)).whole


def test_unwritten_needs_a_layer_that_keeps() -> None:
    forgets = gate(gate(nn.LSTM(D, H), "f", -4.0), "i", -20.0)
    assert "unwritten" not in rules(traced(last(forgets, 0)))


def test_what_is_written_does_not_depend_on_the_size_of_the_input_weight() -> None:
    shares = []
    for factor in (1.0, 1e-3):
        layer = gate(keeping(0), "i", -20.0)
        layer.parameter("Wx").value[...] *= factor
        trace = traced(last(layer, 0))
        (finding,) = [one for one in rg.diagnose(trace).findings if one.rule == "unwritten"]
        shares.append(float(finding.evidence["written_decades"]))  # type: ignore[arg-type]
    assert abs(shares[0] - shares[1]) < 0.6


def test_blind_span() -> None:
    trace = traced(both_ends(nn.LSTM(D, H, bidirectional=True), 0))
    heard = np.logaddexp.reduce(trace.input_lags[0].log[:, 0], axis=0)
    shares = np.exp(heard - heard.max())
    for limit in (0.01, 0.001):
        found = [one for one in rg.diagnose(trace, blind=limit).findings if one.rule == "blind_span"]
        assert found[0].evidence["positions"] == int((shares < limit).sum())
        assert found[0].where["timestep"] == int(np.flatnonzero(shares < limit)[0])
    assert "blind_span" not in rules(trace, blind=float(shares.min()) * (1 - STEP))
    assert "blind_span" not in rules(traced(last(nn.RNN(D, H), 0)))  # it reads one step


# Never healthy for want of evidence.


def test_a_loss_that_reads_many_steps_does_not_explode_by_adding_up() -> None:
    # The mean over 300 steps of a network that keeps everything: the first step counts 300 times.
    layer = gate(gate(gate(gate(nn.LSTM(D, H), "f", 30.0), "i", 0.0), "o", 0.0), "g", 0.0)
    hidden = layer(fed(0, time=300))
    diagnosis = rg.diagnose(traced(classes(head(hidden.mean(axis=1), 0), 0)))
    assert "exploding" not in diagnosis.flags


def test_one_sample_and_one_loss_are_judged() -> None:
    trace = traced(last(nn.RNN(D, H), 0, batch=1))
    diagnosis = rg.diagnose(trace, horizon=T - 1)
    assert diagnosis.verdict == "vanishing"
    assert diagnosis.participation == {"losses": 1.0, "samples": 1.0}


def test_everything_non_finite_is_not_healthy() -> None:
    layer = nn.LSTM(D, H)
    layer.parameter("Wx").value[...] = np.nan
    diagnosis = rg.diagnose(traced(last(layer, 0)))
    assert not diagnosis.healthy
    assert diagnosis.reach is None or diagnosis.reach == 0


def test_without_inputs_the_states_of_the_lowest_layer_are_judged() -> None:
    from dataclasses import replace

    trace = traced(of_two((8.0, 8.0))(0))
    blind = rg.diagnose(replace(trace, input_lags=()))
    assert not blind.at_input
    assert rg.diagnose(trace).at_input
    assert blind.decades == pytest.approx(blind.by_layer[0].decades_from_first)
    assert "in the states" in str(blind)
    assert "What the network is fed is not known" in str(blind)
    assert "is not known" not in rg.diagnose(trace).full()
