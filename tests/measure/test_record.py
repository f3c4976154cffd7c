"""The recorder against definitions, computed another way: separate passes, dense products, plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Status

CELLS: dict[str, Callable[..., Any]] = {
    "tanh": rg.nn.RNN,
    "relu": lambda *sizes, **options: rg.nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": rg.nn.LSTM,
    "gru": rg.nn.GRU,
}


def model(cell: str, *, batch: int = 3, steps: int = 6, seed: int = 0, **options: Any) -> rg.Tensor:
    rng = np.random.default_rng(seed)
    tape = rg.Tape()
    layer = CELLS[cell](4, 5, seed=seed, **options)
    directions = 2 if options.get("bidirectional") else 1
    head = rg.nn.Linear(5 * directions, 7, seed=1)
    y = rng.integers(0, 7, (batch, steps))
    mask = np.arange(steps) < rng.integers(1, steps + 1, batch)[:, None]
    return rg.nn.temporal_softmax_loss(head(layer(tape.input(rng.normal(size=(batch, steps, 4))))), y, mask)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"truncate": 2}], ids=str)
def test_both_details_measure_the_same(cell: str, options: dict[str, Any]) -> None:
    fused = rg.record(model(cell, **options))
    composed = rg.record(model(cell, detail="op", **options))
    for one, other in zip(fused.states, composed.states, strict=True):
        assert one.name == other.name
        for column in ("grad", "immediate", "carried", "quantiles"):
            a, b = getattr(one, column), getattr(other, column)
            np.testing.assert_allclose(a.value, b.value, rtol=1e-12, atol=1e-300)
            np.testing.assert_array_equal(a.status, b.status)
        np.testing.assert_array_equal(one.cut, other.cut)
        np.testing.assert_allclose(one.gain, other.gain, rtol=1e-12)
    for mine, theirs in zip(fused.parameters, composed.parameters, strict=True):
        np.testing.assert_allclose(mine.steps.value, theirs.steps.value, rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(mine.grad.value, theirs.grad.value, rtol=1e-12)


@pytest.mark.parametrize("cell", ["tanh", "relu"])
def test_the_norms_of_a_vanilla_cell_against_a_plain_loop(cell: str) -> None:
    rng = np.random.default_rng(0)
    x, dh = rng.normal(size=(3, 8, 4)), rng.normal(size=(3, 8, 5))
    layer = CELLS[cell](4, 5, seed=2)
    wx, wh, b = (layer.parameter(name).value for name in ("Wx", "Wh", "b"))
    tape = rg.Tape()
    output = layer(tape.input(x))
    trace = rg.record((output * tape.constant(dh)).sum())
    h = output.value
    before = np.concatenate([np.zeros((3, 1, 5)), h[:, :-1]], axis=1)
    np.testing.assert_allclose(
        h, np.maximum(x @ wx + before @ wh + b, 0) if cell == "relu" else np.tanh(x @ wx + before @ wh + b)
    )
    carried, total = np.zeros((3, 5)), 0.0
    state, (p_wx, p_b, p_wh) = trace.states[0], trace.parameters
    for t in range(7, -1, -1):
        delta = dh[:, t] + carried
        da = delta * ((h[:, t] > 0) if cell == "relu" else 1 - h[:, t] ** 2)
        np.testing.assert_allclose(state.grad.value[t], np.linalg.norm(delta), rtol=1e-12)
        np.testing.assert_allclose(state.immediate.value[t], np.linalg.norm(dh[:, t]), rtol=1e-12)
        np.testing.assert_allclose(state.carried.value[t], np.linalg.norm(carried), rtol=1e-12)
        np.testing.assert_allclose(
            state.quantiles.value[:, t], np.quantile(np.linalg.norm(delta, axis=1), [0.1, 0.5, 0.9]), rtol=1e-12
        )
        steps = (np.linalg.norm(x[:, t].T @ da), np.linalg.norm(da.sum(0)), np.linalg.norm(before[:, t].T @ da))
        for parameter, expected in zip((p_wx, p_b, p_wh), steps, strict=True):
            np.testing.assert_allclose(parameter.steps.value[t], expected, rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(trace.inputs[0].steps.value[t], np.linalg.norm(da @ wx.T), rtol=1e-12)
        carried = da @ wh.T
        total += float(steps[2])
        saturated = np.mean(h[:, t] == 0) if cell == "relu" else np.mean(1 - h[:, t] ** 2 < 0.05)
        assert state.saturated[t] == pytest.approx(saturated)
    np.testing.assert_allclose(state.initial.value, np.linalg.norm(carried), rtol=1e-12)
    assert p_wh.cancellation == pytest.approx(p_wh.grad.value / total)


@pytest.mark.parametrize("cell", CELLS)
def test_the_sum_of_a_parameter_is_its_gradient(cell: str) -> None:
    loss = model(cell, num_layers=2, bidirectional=True)
    grads = rg.gradients(loss)
    for parameter in rg.record(loss).parameters:
        np.testing.assert_allclose(parameter.grad.value, np.linalg.norm(grads[parameter.name]), rtol=1e-12)


def test_a_word_seen_twice_in_a_step_adds_up_before_the_norm() -> None:
    tape = rg.Tape()
    words = rg.nn.Embedding(5, 3)(tape.input(np.array([[1, 2], [1, 3]]), "tokens"))
    weight = np.random.default_rng(0).normal(size=(2, 2, 3))
    h = rg.nn.RNN(3, 3)(words)
    trace = rg.record((words * tape.constant(weight)).sum() + 0 * h.sum())
    (embedding,) = (one for one in trace.parameters if one.name == "embedding.W")
    first = np.linalg.norm(weight[0, 0] + weight[1, 0])
    second = np.sqrt((weight[:, 1] ** 2).sum())
    np.testing.assert_allclose(embedding.steps.value, [first, second], rtol=1e-12)
    assert trace.inputs[0].name == "embedding"


def test_truncation_cuts_the_walk_and_the_trace_says_where() -> None:
    tape = rg.Tape()
    h = rg.nn.LSTM(4, 5, truncate=3)(tape.input(np.random.default_rng(0).normal(size=(2, 8, 4))))
    trace = rg.record(h[:, -1].sum())
    for state in trace.states:
        assert list(np.flatnonzero(state.cut)) == [3, 6]
        assert list(state.grad.status[:6]) == [Status.ZERO] * 6
        assert (state.grad.status[6:] == Status.OK).all()


def test_padding_is_what_follows_the_last_step_with_a_loss() -> None:
    tape = rg.Tape()
    scores = rg.nn.Linear(5, 3)(rg.nn.RNN(2, 5)(tape.input(np.ones((2, 4, 2)))))
    mask = np.array([[False, True, False, False], [False, False, False, True]])
    trace = rg.record(rg.nn.temporal_softmax_loss(scores, np.zeros((2, 4), int), mask))
    np.testing.assert_array_equal(trace.valid, [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(trace.loss_steps.sum(), trace.loss, rtol=1e-12)
    # Only the second sample is valid at the last step, so every quantile there is its norm.
    np.testing.assert_allclose(trace.states[0].quantiles.value[:, 3], trace.states[0].grad.value[3], rtol=1e-12)


def test_nan_is_traced_to_the_first_node() -> None:
    layer = rg.nn.RNN(2, 3)
    tape = rg.Tape()
    h = layer(tape.input(np.array([[[1.0, 1.0], [np.inf, 1.0], [1.0, 1.0]]]), finite=False))
    trace = rg.record((h[:, -1] * h[:, -1]).sum())
    first = trace.graph.first_nonfinite_forward
    assert trace.graph.ops[trace.graph.op[first]] == "input"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(CELLS)), st.integers(1, 3), st.integers(1, 7), st.booleans(), st.integers(0, 10_000))
def test_parts_bound_the_whole(cell: str, batch: int, steps: int, both: bool, seed: int) -> None:
    trace = rg.record(model(cell, batch=batch, steps=steps, bidirectional=both, seed=seed))
    for state in trace.states:
        total, parts = state.grad.value, state.immediate.value + state.carried.value
        assert (total <= parts * (1 + 1e-12)).all()
        order = state.quantiles.value[:, trace.valid.any(axis=0)]
        assert (np.diff(order, axis=0) >= 0).all()
    for parameter in trace.parameters:
        if np.isfinite(parameter.cancellation):
            assert 0 <= parameter.cancellation <= 1
            assert parameter.grad.value <= parameter.steps.value.sum() * (1 + 1e-12)


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    tape = rg.Tape()
    h = rg.nn.RNN(2, 3)(tape.input(np.ones((1, 4, 2))))
    with pytest.raises(InputError, match=r"shape \(1, 4, 3\)"):
        rg.record(h)


def test_initial_states_are_no_input_sequence_even_where_batch_and_time_agree() -> None:
    tape = rg.Tape()
    x, h0 = tape.input(np.ones((5, 5, 3))), tape.input(np.ones((2, 5, 4)), name="h0")
    trace = rg.record(rg.nn.RNN(3, 4, num_layers=2)(x, h0=h0).sum())
    assert [one.name for one in trace.inputs] == ["x"]


def test_a_penalty_on_a_weight_leaves_its_cancellation_open() -> None:
    tape, layer = rg.Tape(), rg.nn.RNN(3, 4)
    out = layer(tape.input(np.random.default_rng(0).normal(size=(2, 5, 3)))).sum()
    weight = tape.parameter(layer.parameter("Wh"))
    found = {one.name: one for one in rg.record(out + 10 * (weight * weight).sum()).parameters}
    assert np.isnan(found["rnn.Wh"].cancellation)
    assert 0 < found["rnn.Wx"].cancellation < 1


def test_saturation_is_not_observed_where_a_state_is_not_finite() -> None:
    tape = rg.Tape()
    layer = rg.nn.RNN(3, 4, nonlinearity="relu", gain=1e200)
    (state,) = rg.record(layer(tape.input(np.ones((2, 6, 3)))).sum()).states
    broken = ~np.isfinite(state.activation)
    assert broken.any()
    np.testing.assert_array_equal(np.isnan(state.saturated), broken)
