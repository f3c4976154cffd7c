"""Names stay apart where a layer is used twice, or two layers have the same name."""

from __future__ import annotations

import numpy as np

import rnngraph as rg


def test_one_layer_called_twice_shares_its_weights() -> None:
    layer, tape = rg.nn.RNN(3, 3), rg.Tape()
    x = tape.input(np.ones((1, 4, 3)))
    trace = rg.record(layer(layer(x)).sum())
    assert [state.name for state in trace.states] == ["rnn.h", "rnn_1.h"]
    assert [one.name for one in trace.parameters] == ["rnn.Wx", "rnn.b", "rnn.Wh"]


def test_two_layers_of_one_name_are_numbered() -> None:
    tape = rg.Tape()
    x = tape.input(np.ones((1, 4, 3)))
    loss = rg.nn.RNN(3, 3, seed=1)(rg.nn.RNN(3, 3)(x)).sum()
    trace = rg.record(loss)
    assert [state.name for state in trace.states] == ["rnn.h", "rnn_1.h"]
    assert sorted(rg.gradients(loss)) == ["rnn.Wh", "rnn.Wx", "rnn.b", "rnn_1.Wh", "rnn_1.Wx", "rnn_1.b", "x"]


def test_a_weight_used_at_two_layers_adds_up_step_by_step() -> None:
    layer, tape = rg.nn.RNN(3, 3, seed=2), rg.Tape()
    rng = np.random.default_rng(0)
    h = layer(layer(tape.input(rng.normal(size=(2, 5, 3)))))
    loss = (h * tape.constant(rng.normal(size=h.shape))).sum()
    trace = rg.record(loss)
    gradients = rg.gradients(loss)
    for parameter in trace.parameters:
        np.testing.assert_allclose(parameter.grad.value, np.linalg.norm(gradients[parameter.name]), rtol=1e-12)
        assert parameter.grad.value <= parameter.steps.value.sum() * (1 + 1e-12)
