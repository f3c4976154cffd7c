"""Saturation against the derivative itself: a unit counts where φ' is below 5 % of its largest value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

# Pre-activations from linear to flat, dense around every bound.
A = np.linspace(-6, 6, 401)


def one_step(layer: Any, **state: Any) -> rg.Trace:
    tape = rg.Tape()
    h = layer(tape.input(np.ones((1, 1, 1))), **state)
    return rg.record(h.sum())


def share(flat: np.ndarray) -> float:
    return float(np.mean(flat))


def test_a_tanh_unit_is_saturated_where_its_derivative_is_below_5_percent() -> None:
    layer = rg.nn.RNN(1, A.size)
    layer.load_state_dict({"Wx": A[None], "Wh": np.zeros((A.size, A.size)), "b": np.zeros(A.size)})
    (state,) = one_step(layer).states
    assert state.saturated[0] == pytest.approx(share(1 / np.cosh(A) ** 2 < 0.05))


def test_the_hidden_state_of_an_lstm_is_saturated_where_tanh_of_the_cell_is() -> None:
    layer = rg.nn.LSTM(1, A.size)
    zeros = {name: np.zeros_like(value) for name, value in layer.state_dict().items()}
    zeros["b"][A.size : 2 * A.size] = 40  # the forget gate is open: c_1 = c_0
    layer.load_state_dict(zeros)
    trace = one_step(layer, h0=np.zeros((1, A.size)), c0=A[None])
    hidden = next(state for state in trace.states if state.kind == "h")
    assert hidden.saturated[0] == pytest.approx(share(1 / np.cosh(A) ** 2 < 0.05))


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifog"), ("gru", "rzn")])
def test_a_gate_is_saturated_where_its_derivative_is_below_5_percent_of_its_largest(cell: str, gates: str) -> None:
    layer: Any = rg.nn.LSTM(1, A.size) if cell == "lstm" else rg.nn.GRU(1, A.size)
    state = {name: np.zeros_like(value) for name, value in layer.state_dict().items()}
    state["b"] = np.tile(A, len(gates))
    layer.load_state_dict(state)
    measured = {gate.gate: gate for gate in one_step(layer).gates}
    logistic = 1 / (1 + np.exp(-A))
    for gate in gates:
        tanh = gate in "gn"
        derivative = 1 / np.cosh(A) ** 2 if tanh else 4 * logistic * (1 - logistic)
        assert measured[gate].saturated[0] == pytest.approx(share(derivative < 0.05)), gate
        assert measured[gate].mean[0] == pytest.approx(np.mean(np.tanh(A) if tanh else logistic), abs=1e-12), gate


def test_the_geometric_mean_of_the_keeping_gate_leaves_padding_out() -> None:
    layer = rg.nn.LSTM(1, 1)
    state = {name: np.zeros_like(value) for name, value in layer.state_dict().items()}
    state["Wx"][0, 1] = 1.0  # f = σ(x)
    layer.load_state_dict(state)
    tape = rg.Tape()
    x = np.array([[[1.0], [2.0], [-50.0]]])
    scores = rg.nn.Linear(1, 2)(layer(tape.input(x)))
    trace = rg.record(rg.nn.temporal_softmax_loss(scores, np.zeros((1, 3), int), np.array([[True, True, False]])))
    forget = next(gate for gate in trace.gates if gate.gate == "f")
    expected = -(math.log1p(math.exp(-1)) + math.log1p(math.exp(-2))) / 2
    np.testing.assert_allclose(forget.log_mean, expected, rtol=1e-12)
