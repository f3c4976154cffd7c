"""A cell that no module knows by name: the facts of its description decide what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import recorded

GATED = CellTrace("toy", "toy cell", ("h", "c"), ("in", "hold"), "hold", "holding gate", "the toy's two gates")
PLAIN = CellTrace("toy", "toy cell", ("h",))


def described(trace: Trace, cell: CellTrace, **gates: str) -> Trace:
    """Describe the recurrence of a trace as another cell, with gates of other names."""
    kept = [replace(gate, gate=gates[gate.gate]) for gate in trace.gates if gate.gate in gates]
    return replace(
        trace,
        cells=(cell,),
        recurrences=tuple([replace(one, cell=cell.name) for one in trace.recurrences]),
        states=tuple([replace(state, cell=cell.name) for state in trace.states]),
        gates=tuple(kept),
    )


def found(trace: Trace, rule: str) -> Any:
    return next(finding for finding in rg.diagnose(trace).findings if finding.rule == rule)


def test_a_gated_cell_gets_the_advice_of_its_own_gate() -> None:
    layer = nn.LSTM(6, 24, forget_bias=-1.0)
    layer.parameter("Wh").value[...] *= 0.1
    trace = recorded(layer, time=101, loss="last")
    known, toy = found(trace, "vanishing"), found(described(trace, GATED, i="in", f="hold"), "vanishing")
    assert (
        toy.advice
        == "Open the holding gate, which keeps the state: chrono initialisation for lag 100, or a larger bias."
    )
    assert toy.cause == known.cause == "gate"
    words = ("activation", "saturation", "gate")
    numbers = [{key: one.evidence[key] for key in one.evidence if key not in words} for one in (toy, known)]
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)
    assert [toy.evidence["gate"], known.evidence["gate"]] == ["holding gate", "forget gate"]
    assert toy.evidence["gate_timescale"] == pytest.approx(-1 / np.median(trace.gates[1].log_mean))


def test_a_gated_cell_whose_gate_was_not_seen_blames_it_or_the_weights() -> None:
    toy = found(described(recorded(nn.LSTM(6, 24)), GATED), "vanishing")
    assert toy.cause == "gate or weights"
    assert "gate_timescale" not in toy.evidence


@pytest.mark.parametrize(("share", "cause"), [(0.4, "weights"), (0.6, "gate")])
def test_a_gate_is_the_cause_where_it_takes_half_of_the_decades(share: float, cause: str) -> None:
    trace = described(recorded(nn.LSTM(6, 24)), GATED, f="hold")
    lost = found(trace, "vanishing").evidence
    alone = np.full(24, share * lost["decades"] * np.log(10) / lost["lag"])  # ln of what the gate leaves a step
    gates = tuple([replace(gate, log_mean=alone) for gate in trace.gates])
    assert found(replace(trace, gates=gates), "vanishing").cause == cause


@pytest.mark.parametrize(("share", "said"), [(0.4, "take away"), (0.6, ""), (1.8, ""), (2.2, "carry more")])
def test_a_gate_that_does_not_tell_the_memory_is_noted_from_twice_on(share: float, said: str) -> None:
    trace = described(recorded(nn.LSTM(6, 24)), GATED, f="hold")
    rate = rg.diagnose(trace).rate
    gates = tuple([replace(gate, log_mean=np.full(24, share * rate)) for gate in trace.gates])
    notes = [one.text for one in rg.diagnose(replace(trace, gates=gates)).findings if one.rule == "gate_timescale"]
    assert len(notes) == bool(said)
    assert all(f"other paths {said}" in note for note in notes)


def test_a_gated_cell_that_explodes_is_not_told_to_start_orthogonal() -> None:
    hot = recorded(nn.RNN(6, 24, init="orthogonal", gain=3.0))
    assert "Start the recurrent weight orthogonal" in found(described(hot, PLAIN), "exploding").advice
    assert "orthogonal" not in found(described(hot, GATED), "exploding").advice


def test_what_is_squashed_is_said_as_the_cell_says_it() -> None:
    layer = nn.RNN(6, 24, init="orthogonal")
    layer.parameter("b").value[...] = np.where(np.arange(24) % 2, 3.0, -3.0)
    trace = recorded(layer, inputs=0.1)
    assert "Bring the activation back" in found(described(trace, PLAIN), "saturated").advice
    assert "Bring the toy's two gates back" in found(described(trace, GATED), "saturated").advice


def unknown(log: Any, severed: Any = None) -> Trace:
    """Give ten steps of a cell of which only the lags are known, the same for every loss; a loss is at every step."""
    trace = recorded(nn.RNN(6, 3), time=10, batch=1, lags=LagOptions("all", "all"))
    (lags,), (state,) = trace.lags, trace.states
    row = np.concatenate([[-np.inf], log])
    column = np.arange(-1, 10)
    matrix = np.where(column > np.arange(10)[:, None], np.nan, np.where(column == np.arange(10)[:, None], 0.0, row))
    lags = replace(lags, log=matrix[None], severed=lags.severed if severed is None else np.asarray(severed)[None])
    state = replace(state, saturated=np.full(10, NAN))
    return replace(described(trace, PLAIN), states=(replace(state, cell="toy"),), lags=(lags,))


def test_a_step_is_dead_where_no_gradient_goes_back_over_it() -> None:
    zero, third = np.full(10, -np.inf), np.where(np.arange(10) % 3, -np.inf, -1.0)
    cut = np.arange(10) != 5
    assert "dead" in rg.diagnose(unknown(zero)).flags
    assert "dead" not in rg.diagnose(unknown(np.full(10, -1.0))).flags
    assert "dead" not in rg.diagnose(unknown(third)).flags  # it goes a way around the others
    assert "dead" not in rg.diagnose(unknown(np.where(cut, -np.inf, -1.0), severed=cut)).flags
    assert "dead" not in rg.diagnose(unknown(np.where(np.arange(10) < 8, np.nan, -1.0))).flags  # not followed so far


NAN = float("nan")


@pytest.mark.parametrize(
    ("saturated", "activation", "weights", "rule", "cause"),
    [
        (0.0, -0.6, -0.4, "vanishing", "activation"),
        (0.0, -0.4, -0.6, "vanishing", "weights"),
        (0.0, -1.3, -1.0, "vanishing", "activation"),  # 0.27 is left a step
        (0.0, -1.5, -1.0, "saturated", "activation"),  # 0.22
        (0.0, -1.5, 2.0, "saturated", "activation"),
        (0.0, -1.5, -2.0, "vanishing", "weights"),
        (0.6, -0.6, -0.4, "saturated", "activation"),
        (0.6, -0.4, -0.6, "vanishing", "weights"),
        (0.6, NAN, NAN, "saturated", "activation"),
        (0.4, NAN, NAN, "vanishing", "weights"),
    ],
)
def test_flat_units_are_the_cause_where_they_take_most(
    saturated: float, activation: float, weights: float, rule: str, cause: str
) -> None:
    trace = described(recorded(nn.RNN(6, 24)), PLAIN)
    # The mean share counts, and the median of the nats, which a third of odd steps does not move.
    odd = np.arange(90) % 3 == 0
    columns: dict[str, Any] = {
        "saturated": saturated * np.where(np.arange(90) % 2, 0.5, 1.5),
        "gain_activation": np.where(odd, 20.0, activation),
        "gain_weights": np.where(odd, -30.0, weights),
    }
    if np.isnan(activation):
        columns |= {"gain_activation": np.full(90, NAN), "gain_weights": np.full(90, NAN)}
    trace = replace(trace, states=(replace(trace.states[0], **columns),))
    assert found(trace, rule).cause == cause
    switched = replace(trace, cells=(replace(PLAIN, switches_off=True),))  # where the share alone says nothing
    for one, expected in ((trace, rule), (switched, "vanishing" if saturated else rule)):
        assert [flag.rule for flag in rg.diagnose(one).findings if flag.severity == "warning"] == [expected]


def test_steps_count_that_are_real_in_any_sample() -> None:
    trace = described(recorded(nn.RNN(6, 24), batch=2), PLAIN)
    valid = np.arange(90) < np.array([[60], [30]])
    saturated = np.repeat([0.2, 0.9, 0.0], 30)  # 0.55 over the 60 steps that are real
    state = replace(trace.states[0], saturated=saturated, gain_activation=saturated * NAN, gain_weights=saturated * NAN)
    trace = replace(trace, states=(state,), recurrences=(replace(trace.recurrences[0], valid=valid),))
    assert found(trace, "saturated").evidence["saturated"] == pytest.approx(0.55)


def test_units_that_switch_off_may_be_dead() -> None:
    layer = nn.RNN(6, 24, nonlinearity="relu")
    layer.parameter("b").value[...] = -30
    trace = recorded(layer)
    assert rg.diagnose(described(trace, replace(PLAIN, switches_off=True))).verdict == "dead"
    assert "dead" not in rg.diagnose(described(trace, PLAIN)).flags  # a smooth cell's units are saturated at most


@pytest.mark.parametrize(("shift", "verdict"), [(2.0, "dead"), (-2.0, "vanishing")])
def test_of_a_cell_of_which_nothing_is_known_the_lags_tell(shift: float, verdict: str) -> None:
    # h_t = relu(h_{t-1} / 1000 - shift): either no step lets a gradient through, or each lets a thousandth.
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 1)))
    states = []
    for t in range(20):
        with tape.scope(t=t):
            h = (h * 1e-3 - shift).relu()
        states.append(h)
    tape.state("cell.h", states, initial=start)
    total = (states[0] * 1.0).sum()
    for state in states[1:]:
        total = total + (state * 1.0).sum()
    assert rg.diagnose(rg.record(total, lags=True)).verdict == verdict
