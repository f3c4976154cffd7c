"""The trace against closed forms: what one backward pass over simple recurrences must show."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.trace.magnitudes import Status
from tests.linear_cells import elementwise_loss, linear_loss, orthogonal

T = 20


def decay(factor: float, steps: int = T) -> np.ndarray:
    return factor ** np.arange(steps - 1, -1, -1.0)


def test_scalar_linear_a1() -> None:
    w, h0, c = 0.7, 1.3, -2.0
    loss = linear_loss(np.array([[w]]), np.array([[h0]]), np.array([[c]]), T)
    trace = rg.record(loss)
    (state,), (weight,) = trace.states, trace.parameters
    np.testing.assert_allclose(state.grad.value, abs(c) * decay(w), rtol=1e-12)
    np.testing.assert_allclose(weight.grad.value, abs(c) * T * w ** (T - 1) * h0, rtol=1e-12)
    np.testing.assert_allclose(weight.steps.value, abs(c) * w ** (T - 1) * h0, rtol=1e-12)
    assert weight.cancellation == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(state.initial.value, abs(c) * w**T, rtol=1e-12)
    np.testing.assert_allclose(state.gain[:-1], w, rtol=1e-12)
    assert np.isnan(state.gain[-1])


@pytest.mark.parametrize(("w", "gain"), [(1.5, 0.394313025499), (2, 0.166372087752), (5, 9.08741553e-4)])
def test_tanh_at_its_fixed_point_a2(w: float, gain: float) -> None:
    fixed = 0.9
    for _ in range(10_000):
        fixed = math.tanh(w * fixed)
    layer = rg.nn.RNN(1, 1)
    layer.load_state_dict({"Wx": np.zeros((1, 1)), "Wh": np.full((1, 1), w), "b": np.zeros(1)})
    tape = rg.Tape()
    h = layer(tape.input(np.ones((1, T, 1))), np.full((1, 1), fixed))
    state = rg.record(h[:, -1].sum()).states[0]
    np.testing.assert_allclose(state.gain[:-1], gain, rtol=0, atol=1e-10)
    # The split into activation and weights is exact: ln gain = ln(1 - h²) + ln w.
    np.testing.assert_allclose(state.gain_activation[:-1], math.log(gain / w), atol=1e-8)
    np.testing.assert_allclose(state.gain_weights[:-1], math.log(w), atol=1e-12)


@pytest.mark.parametrize("g", [1.0, 0.9, 1.2])
def test_scaled_orthogonal_a3_a4(g: float) -> None:
    c = np.random.default_rng(1).normal(size=(1, 8))
    trace = rg.record(linear_loss(g * orthogonal(8), np.ones((1, 8)), c, T))
    np.testing.assert_allclose(trace.states[0].grad.value, np.linalg.norm(c) * decay(g), rtol=1e-12)
    # Pascanu's regulariser, in the form of the paper and in that of its code.
    gain = trace.states[0].gain[:-1]
    assert ((gain - 1) ** 2).sum() == pytest.approx((T - 1) * (g - 1) ** 2, abs=1e-12)
    assert ((gain**2 - 1) ** 2).sum() == pytest.approx((T - 1) * (g * g - 1) ** 2, abs=1e-12)


def test_orthogonal_in_float32_keeps_the_norm_for_a_thousand_steps_a3() -> None:
    weight = orthogonal(8).astype(np.float32)
    c = np.random.default_rng(1).normal(size=(1, 8)).astype(np.float32)
    grad = rg.record(linear_loss(weight, np.ones((1, 8), np.float32), c, 1000)).states[0].grad.value
    np.testing.assert_allclose(grad, np.linalg.norm(c), rtol=1e-5)


def test_diagonal_a5() -> None:
    d, c = np.array([0.9, 0.5, 1.1]), np.array([[1.0, -2.0, 0.5]])
    trace = rg.record(linear_loss(np.diag(d), np.ones((1, 3)), c, T))
    lag = np.arange(T - 1, -1, -1.0)[:, None]
    np.testing.assert_allclose(trace.states[0].grad.value, np.sqrt(((c * d**lag) ** 2).sum(1)), rtol=1e-12)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0, 3.0, 5.0])
def test_lstm_without_recurrent_weights_a8(bias: float) -> None:
    layer = rg.nn.LSTM(2, 3, init="normal", forget_bias=bias, seed=1)
    state = layer.state_dict()
    state["Wh"][:] = 0
    state["Wx"][:, 3:6] = 0  # the forget gate sees only its bias
    layer.load_state_dict(state)
    tape = rg.Tape()
    h = layer(tape.input(np.random.default_rng(0).normal(size=(2, T, 2))))
    trace = rg.record(h[:, -1].sum())
    f = 1 / (1 + math.exp(-bias))
    cell = next(one for one in trace.states if one.kind == "c")
    np.testing.assert_allclose(cell.grad.value, cell.grad.value[-1] * decay(f), rtol=1e-12)
    forget = next(gate for gate in trace.gates if gate.gate == "f")
    tau = {0: 1.4427, 1: 3.1922, 2: 7.8785, 3: 20.5815, 5: 148.9126}[int(bias)]
    np.testing.assert_allclose(-1 / forget.log_mean, tau, atol=1e-4)
    np.testing.assert_allclose(forget.mean, f, rtol=1e-12)
    hidden = next(one for one in trace.states if one.kind == "h")
    assert (hidden.carried.status == Status.ZERO).all()


def test_gru_without_recurrent_weights_a9() -> None:
    layer = rg.nn.GRU(2, 3, seed=1)
    state = layer.state_dict()
    for name in ("Wh", "bh", "Wx"):
        state[name][:] = 0
    layer.load_state_dict(state)
    tape = rg.Tape()
    h = layer(tape.input(np.random.default_rng(0).normal(size=(1, T, 2))))
    z = 1 / (1 + np.exp(-state["b"][3:6]))
    expected = np.sqrt((z ** (2 * np.arange(T - 1, -1, -1.0)[:, None])).sum(1))
    np.testing.assert_allclose(rg.record(h[:, -1].sum()).states[0].grad.value, expected, rtol=1e-12)


def test_leaky_integrator_a10() -> None:
    alpha = 0.3
    tape = rg.Tape()
    x, h = tape.input(np.ones((1, T, 1))), tape.input(np.zeros((1, 1)), "h0")
    states = []
    for t in range(T):
        with tape.scope(t=t):
            h = (1 - alpha) * h + alpha * x[:, t]
        states.append(h)
    tape.state("leaky.h", states)
    trace = rg.record(h.sum())
    np.testing.assert_allclose(trace.states[0].grad.value, decay(1 - alpha), rtol=1e-12)
    np.testing.assert_allclose(trace.inputs[0].steps.value, alpha * decay(1 - alpha), rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "subnormal", "zero"),
    [(np.float16, 127, 150), (np.float32, 127, 150), (np.float64, 1023, 1075)],  # half is computed in float32
)
def test_underflow_is_not_zero_a15(dtype: type, subnormal: int, zero: int) -> None:
    steps = zero + 6
    state = rg.record(elementwise_loss(0.5, steps, dtype)).states[0]
    by_lag, status = state.grad.value[::-1], state.grad.status[::-1]
    np.testing.assert_array_equal(by_lag[:zero], 0.5 ** np.arange(zero, dtype=np.float64))
    assert (status[:zero] == Status.OK).all()
    assert (status[zero:] == Status.UNDERFLOW).all()
    assert state.initial.status == Status.UNDERFLOW
    assert by_lag[subnormal] < np.finfo(np.result_type(dtype, np.float32)).tiny <= by_lag[subnormal - 1]


@pytest.mark.parametrize(("dtype", "lag"), [(np.float16, 128), (np.float32, 128), (np.float64, 1024)])
def test_overflow_is_nonfinite_and_found_a15(dtype: type, lag: int) -> None:
    trace = rg.record(elementwise_loss(2.0, lag + 3, dtype))
    state = trace.states[0]
    assert (state.grad.status[::-1][:lag] == Status.OK).all()
    assert (state.grad.status[::-1][lag:] == Status.NONFINITE).all()
    forward, backward = trace.graph.first_nonfinite_forward, trace.graph.first_nonfinite_backward
    assert trace.graph.timestep[forward] == lag - 1  # h_t = 2^(t+1)
    assert trace.graph.timestep[backward] == len(state.nodes) - lag  # the step whose vjp doubled past the largest


def test_a_float32_gradient_of_1e_minus_25_is_reported_as_such() -> None:
    tape = rg.Tape()
    h = rg.nn.RNN(1, 1, dtype=np.float32)(tape.input(np.ones((1, 3, 1), np.float32)))
    loss = (h[:, -1] * tape.constant(np.float32(1e-25))).sum()
    assert rg.record(loss).states[0].grad.value[-1] == pytest.approx(1e-25, rel=1e-6)


def test_a_float64_gradient_of_1e_minus_200_is_reported_as_such() -> None:
    state = rg.record(linear_loss(np.eye(2), np.ones((1, 2)), np.array([[3e-200, 4e-200]]), 3)).states[0]
    np.testing.assert_allclose(state.grad.value, 5e-200, rtol=1e-14)
    np.testing.assert_allclose(state.grad.log10, math.log10(5) - 200, rtol=1e-14)


def test_a_dead_relu_is_zero_and_not_underflow() -> None:
    layer = rg.nn.RNN(1, 2, nonlinearity="relu")
    layer.load_state_dict({"Wx": np.zeros((1, 2)), "Wh": np.eye(2), "b": np.array([-1.0, -1.0])})
    tape = rg.Tape()
    h = layer(tape.input(np.ones((1, 4, 1))), np.zeros((1, 2)))
    state = rg.record(h[:, -1].sum()).states[0]
    assert list(state.grad.status) == [Status.ZERO] * 3 + [Status.OK]
    assert list(state.zeros) == [2, 2, 2, 0]
    np.testing.assert_array_equal(state.saturated, 1)


def test_a_tanh_rounded_to_one_is_underflow_and_not_zero() -> None:
    layer = rg.nn.RNN(1, 2)
    layer.load_state_dict({"Wx": np.zeros((1, 2)), "Wh": np.eye(2), "b": np.array([60.0, -60.0])})
    tape = rg.Tape()
    h = layer(tape.input(np.ones((1, 4, 1))))
    state = rg.record(h[:, -1].sum()).states[0]
    assert list(state.grad.status) == [Status.UNDERFLOW] * 3 + [Status.OK]


def test_nothing_walked_is_unobserved() -> None:
    tape = rg.Tape()
    rg.nn.LSTM(2, 3)(tape.input(np.ones((1, 4, 2))))
    trace = rg.record(tape)
    assert (trace.states[0].grad.status == Status.UNOBSERVED).all()
    assert (trace.parameters[0].steps.status == Status.UNOBSERVED).all()
    assert np.isnan(trace.loss)
    assert np.isfinite(trace.states[0].activation).all()


@pytest.mark.parametrize("walked", [True, False])
def test_states_of_ones_own_behind_the_loss_are_seen_too(walked: bool) -> None:
    tape = rg.Tape()
    h, states = tape.input(np.ones((2, 3))), []
    for t in range(6):
        with tape.scope(t=t):
            h = h * 0.5
        states.append(h)
    tape.state("cell.h", states)
    (state,) = rg.record(states[3].sum() if walked else tape).states
    np.testing.assert_allclose(state.activation, 0.5 ** np.arange(1, 7))
    expected = [Status.OK] * 4 + [Status.ZERO] * 2 if walked else [Status.UNOBSERVED] * 6
    assert state.grad.status.tolist() == expected
    assert state.zeros.tolist() == ([0] * 4 + [6] * 2 if walked else [0] * 6)
