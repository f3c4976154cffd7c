"""The lag matrix and the spectrum against systems that are solved on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from tests.linear_cells import linear_loss, orthogonal
from tests.measure.lag_networks import by_hand, captioner, log_row, measured, row
from tests.measure.step_matrices import matrices

T = 40


def linear(weight: Any, *, readout: Any = None, time: int = T, losses: Any = None) -> Any:
    """A linear recurrence from ones; every unit counts differently in the loss."""
    readout = np.arange(1.0, len(weight) + 1) if readout is None else readout
    return linear_loss(weight, np.ones((1, len(weight))), readout, time, losses=losses)


def exponents(loss: Any, k: int) -> Any:
    return rg.spectrum(loss, k).lyapunov


def test_scalar_linear() -> None:
    w, c = 0.7, 3.0
    loss = linear(np.array([[w]]), readout=np.array([c]))
    np.testing.assert_allclose(row(measured(loss)["cell.h"], T - 1), c * w ** np.arange(T + 1), rtol=1e-12)


@pytest.mark.parametrize(("w", "gain"), [(1.5, 0.394313025499), (2.0, 0.166372087752), (5.0, 9.08741553e-4)])
def test_scalar_tanh_at_its_fixed_point(w: float, gain: float) -> None:
    h = 1.0
    for _ in range(400):
        h = math.tanh(w * h)
    loss = by_hand(lambda h, _: (h * w).tanh(), np.array([[h]]), time=T, readout=np.ones(1), losses=[T - 1])
    ratios = np.exp(np.diff(log_row(measured(loss)["cell.h"], T - 1)))
    np.testing.assert_allclose(ratios, gain, rtol=0, atol=1e-10)


def test_orthogonal_keeps_every_norm() -> None:
    loss = linear(orthogonal(6), losses=range(T))
    trace = measured(loss)["cell.h"]
    size = np.linalg.norm(np.arange(1.0, 7.0))
    for s in range(T):
        np.testing.assert_allclose(row(trace, s), size, rtol=1e-10)
    np.testing.assert_allclose(exponents(loss, 6), 0, atol=1e-10)
    spectrum = rg.spectrum(loss, 6)
    np.testing.assert_allclose(spectrum.singular, 1, rtol=1e-10)
    assert spectrum.product_log == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("g", [0.9, 1.1])
def test_scaled_orthogonal(g: float) -> None:
    loss = linear(g * orthogonal(6))
    found = row(measured(loss)["cell.h"], T - 1)
    np.testing.assert_allclose(found / found[0], g ** np.arange(T + 1), rtol=1e-12)
    np.testing.assert_allclose(exponents(loss, 6), math.log(g), rtol=0, atol=1e-12)


def test_diagonal() -> None:
    d, c = np.array([0.5, 0.9, 1.05]), np.array([3.0, 2.0, 1.0])
    loss = linear(np.diag(d), readout=c)
    lag = np.arange(T + 1)[:, None]
    expected = np.sqrt((c**2 * d ** (2.0 * lag)).sum(axis=1))
    np.testing.assert_allclose(row(measured(loss)["cell.h"], T - 1), expected, rtol=1e-12)
    np.testing.assert_allclose(exponents(loss, 3).sum(), np.log(d).sum(), rtol=0, atol=1e-12)
    # One by one they come near with the length of the window, from whatever directions the walk begins.
    np.testing.assert_allclose(exponents(loss, 3), np.log(d)[::-1], atol=0.01)


def test_jordan_block_grows_before_it_shrinks() -> None:
    weight = np.array([[0.9, 1.0], [0.0, 0.9]])
    loss = linear(weight, readout=np.array([1.0, 0.0]), time=220)
    found = row(measured(loss)["cell.h"], 219)
    lag = np.arange(221)
    np.testing.assert_allclose(found, np.hypot(0.9**lag, lag * 0.9 ** (lag - 1.0)), rtol=1e-9)
    spectrum = rg.spectrum(loss, 2)
    np.testing.assert_allclose(spectrum.singular, 1.5295630, rtol=1e-6)
    power = np.linalg.norm([[0.9**220, 220 * 0.9**219], [0, 0.9**220]], ord=2)
    assert spectrum.product_log == pytest.approx(math.log(power), rel=1e-9)


@pytest.mark.parametrize(("time", "norm"), [(9, 3.912567), (34, 1.051443), (35, 0.974093), (199, 1.733320e-7)])
def test_norm_of_a_power_of_the_jordan_block(time: int, norm: float) -> None:
    weight = np.array([[0.9, 1.0], [0.0, 0.9]])
    loss = linear(weight, readout=np.array([1.0, 0.0]), time=time)
    product = rg.spectrum(loss, 2).product_log
    assert product == pytest.approx(math.log(np.linalg.norm(np.linalg.matrix_power(weight, time), 2)), abs=1e-9)
    assert math.exp(product) == pytest.approx(norm, rel=1e-6)


def test_rotation() -> None:
    turn = np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    loss = linear(turn)
    np.testing.assert_allclose(row(measured(loss)["cell.h"], T - 1), math.sqrt(5), rtol=1e-12)
    np.testing.assert_allclose(exponents(loss, 2), 0, atol=1e-12)


@pytest.mark.parametrize(("bias", "timescale"), [(0, 1.4427), (1, 3.1922), (2, 7.8785), (3, 20.5815), (5, 148.9126)])
def test_lstm_without_recurrent_weights_is_its_forget_gate(bias: float, timescale: float) -> None:
    layer = nn.LSTM(2, 3, forget_bias=bias)
    layer.parameter("Wh").value[...] = 0
    layer.parameter("Wx").value[:, 3:6] = 0  # the forget gate sees its bias only
    tape = rg.Tape()
    hidden = layer(tape.input(np.random.default_rng(0).normal(size=(2, T, 2))))
    traces = measured(hidden[:, T - 1].sum())
    f = 1 / (1 + math.exp(-bias))
    cell = row(traces["lstm.c"], T - 1)
    np.testing.assert_allclose(cell / cell[0], f ** np.arange(T + 1), rtol=1e-12)
    assert (log_row(traces["lstm.h"], T - 1)[1:] == -np.inf).all()
    assert -1 / math.log(f) == pytest.approx(timescale, rel=1e-4)
    trace = rg.record(hidden[:, T - 1].sum())
    gate = next(gate for gate in trace.gates if gate.gate == "f")
    np.testing.assert_allclose(-1 / gate.log_mean, timescale, rtol=1e-4)


def test_gru_without_recurrent_weights_is_its_update_gate() -> None:
    layer = nn.GRU(2, 3)
    layer.parameter("Wh").value[...] = 0
    layer.parameter("bh").value[...] = 0
    layer.parameter("Wx").value[...] = 0
    layer.parameter("b").value[...] = 0.4
    tape = rg.Tape()
    hidden = layer(tape.input(np.zeros((1, T, 2))))
    found = row(measured(hidden[:, T - 1].sum())["gru.h"], T - 1)
    z = 1 / (1 + math.exp(-0.4))
    np.testing.assert_allclose(found / found[0], z ** np.arange(T + 1), rtol=1e-12)


def reset_before_the_product(h: Any, _: Any) -> Any:
    """Step a GRU without biases or inputs that multiplies the state, not the product, by its reset gate."""
    rng = np.random.default_rng(3)
    to_reset, to_update, to_candidate = (h.tape.constant(rng.normal(size=(5, 5))) for _ in range(3))
    z = (h @ to_update).sigmoid()
    n = (((h @ to_reset).sigmoid() * h) @ to_candidate).tanh()
    return (1 - z) * n + z * h


@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_at_zero_is_half_identity_plus_a_quarter_of_its_weight(reset: str) -> None:
    if reset == "after":
        layer = nn.GRU(2, 5)
        for name in ("b", "bh"):
            layer.parameter(name).value[...] = 0
        tape = rg.Tape()
        layer(tape.input(np.zeros((1, 4, 2))))
        candidate = layer.parameter("Wh").value[:, 10:].T
    else:
        tape = by_hand(reset_before_the_product, np.zeros((1, 5)), time=4, readout=np.ones(5)).tape
        candidate = np.random.default_rng(3).normal(size=(3, 5, 5))[2].T
    ((_, found),) = matrices(tape)
    np.testing.assert_allclose(found[2][0], 0.5 * np.eye(5) + 0.25 * candidate, rtol=1e-12, atol=1e-15)
    assert not tape.nodes[int(tape.recurrences[0].node_ids("h")[2])].value.any()


def test_leaky_unit() -> None:
    a = 0.2
    rng = np.random.default_rng(0)
    loss = by_hand(
        lambda h, x: h * (1 - a) + x * a, np.zeros((1, 3)), time=T, readout=np.ones(3), losses=[T - 1],
        inputs=rng.normal(size=(1, T, 3)),
    )  # fmt: skip
    expected = math.sqrt(3) * (1 - a) ** np.arange(T + 1)
    np.testing.assert_allclose(row(measured(loss)["cell.h"], T - 1), expected, rtol=1e-12)


@pytest.mark.parametrize("detail", ["step", "op"])
def test_exponents_add_up_to_the_mean_log_determinant(detail: str) -> None:
    layer = nn.RNN(4, 24, init="normal", gain=1.3, detail=detail)
    tape = rg.Tape()
    hidden = layer(tape.input(np.random.default_rng(0).normal(size=(1, 300, 4))))
    sign, determinant = np.linalg.slogdet(layer.parameter("Wh").value)
    assert sign
    slopes = np.log(1 - hidden.value[0] ** 2).sum(axis=1).mean()
    assert exponents(hidden.sum(), 24).sum() == pytest.approx(determinant + slopes, abs=1e-9)


def test_identity_relu_with_positive_inputs_keeps_everything() -> None:
    layer = nn.RNN(3, 3, nonlinearity="relu", init="identity")
    layer.parameter("Wx").value[...] = np.eye(3)
    tape = rg.Tape()
    hidden = layer(tape.input(np.abs(np.random.default_rng(0).normal(size=(1, T, 3))) + 0.1))
    found = measured((hidden[:, T - 1] * np.array([1.0, 2.0, 2.0])).sum())["rnn.h"]
    assert (log_row(found, T - 1) == log_row(found, T - 1)[0]).all()


def test_identity_relu_zeroes_a_unit_for_good() -> None:
    # a_{s,i} <= 0 at one step: the gradient of that unit is exactly zero before it.
    layer = nn.RNN(2, 2, nonlinearity="relu", init="identity")
    layer.parameter("Wx").value[...] = np.eye(2)
    x = np.full((1, T, 2), 0.1)
    x[0, 10, 0] = -100
    tape = rg.Tape()
    hidden = layer(tape.input(x))
    found = row(measured((hidden[:, T - 1] * np.array([3.0, 4.0])).sum())["rnn.h"], T - 1)
    np.testing.assert_allclose(found[: T - 10], 5.0, rtol=1e-12)  # states 39 down to 10
    np.testing.assert_allclose(found[T - 10 :], 4.0, rtol=1e-12)


def test_losses_at_every_step_of_an_orthogonal_network() -> None:
    loss = captioner(nn.RNN(4, 6), time=5)
    trace = measured(loss)["rnn.h"]
    from rnngraph.trace.magnitudes import Magnitudes

    recorded = rg.record(loss)
    assert isinstance(recorded.states[0].immediate, Magnitudes)
    own = np.exp(np.diagonal(trace.log[:, :, 1:], axis1=1, axis2=2))
    np.testing.assert_allclose(np.linalg.norm(own, axis=0), recorded.states[0].immediate.value, rtol=1e-12)


def test_scalar_sigmoid_near_its_unstable_point() -> None:
    # x <- w σ(x) + b with w = 5, b = -2.5 (Doya; Pascanu et al.): x = 0 has the multiplier 5/4 exactly.
    def steps(x0: float, time: int, first: int) -> Any:
        return measured(
            by_hand(
                lambda x, _: x.sigmoid() * 5.0 - 2.5, np.array([[x0]]), time=time, readout=np.ones(1),
                losses=range(first, time),
            )
        )["cell.h"]  # fmt: skip

    assert row(steps(0.0, 50, 49), 49)[-1] == pytest.approx(1.25**50, rel=1e-10)
    assert pytest.approx(7.0065e4, rel=1e-5) == 1.25**50
    np.testing.assert_allclose(np.exp(np.diff(log_row(steps(0.0, 50, 49), 49))), 1.25, rtol=1e-12)
    stable = 1.7760294587
    np.testing.assert_allclose(np.exp(np.diff(log_row(steps(stable, 20, 19), 19))), 0.619144, rtol=0, atol=1e-6)
    for epsilon in (1e-2, 1e-4, 1e-8):
        found = steps(epsilon, 119, 4)
        assert 0.6 < epsilon * max(row(found, loss)[-1] for loss in range(4, 119)) < 0.71


@pytest.mark.parametrize(("side", "fold"), [(1, -2.65561034), (-1, -2.34438966)])
def test_scalar_sigmoid_at_its_folds(side: int, fold: float) -> None:
    # A fixed point is born where 5 σ' = 1, at x = ±2 ln of the golden ratio: its multiplier is 1.
    x = side * 2 * math.log((1 + math.sqrt(5)) / 2)
    b = x - 5 / (1 + math.exp(-x))
    assert b == pytest.approx(fold, abs=1e-8)
    loss = by_hand(lambda h, _: h.sigmoid() * 5.0 + b, np.array([[x]]), time=30, readout=np.ones(1), losses=[29])
    np.testing.assert_allclose(row(measured(loss)["cell.h"], 29), 1, rtol=0, atol=1e-6)
