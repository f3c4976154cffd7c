"""Gradients far below 1e-308 that join others: two linear layers, of which the closed form is an exact fraction."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from tests.measure.lag_networks import by_hand, measured

T = 24
PAIRS = [(1e-30, 1e-30), (1e-200, 1e-30), (1e-30, 1e-200), (1e-100, 1e100), (1e160, 1e-120), (1.0, 1e-200)]


def log_of(number: Fraction) -> float:
    bits = number.numerator.bit_length() - number.denominator.bit_length()
    return math.log(float(number / Fraction(2) ** bits)) + bits * math.log(2)


def powers(value: float) -> list[Fraction]:
    return [Fraction(value) ** n for n in range(T + 1)]


def two_layers(below: float, above: float, detail: str) -> Any:
    """h1_t = a h1_{t-1} + x_t and h2_t = b h2_{t-1} + h1_t, with a loss on every step of h2."""
    layer = nn.RNN(1, 1, nonlinearity="relu", num_layers=2, detail=detail)
    for name, carry in (("", below), ("_l1", above)):
        layer.parameter("Wh" + name).value[...] = carry
        layer.parameter("Wx" + name).value[...] = 1
    x = np.zeros((1, T, 1))
    # A ReLU is open where its argument is above zero: an offset keeps states there without making them large.
    for name in ("b", "b_l1"):
        layer.parameter(name).value[...] = 2.0**-1000
    return layer(rg.Tape().input(x)).sum()


@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize(("below", "above"), PAIRS)
def test_losses_of_two_layers(below: float, above: float, detail: str) -> None:
    traces = measured(two_layers(below, above, detail))
    a, b = powers(below), powers(above)
    joined = [log_of(sum((b[n - j] * a[j] for j in range(n + 1)), start=Fraction(0))) for n in range(T)]
    carried = [log_of(one) for one in b]
    for name, expected in (("rnn.h", joined), ("rnn.h_l1", carried)):
        for s in range(T):
            found = traces[name].log[0, s, 1:]
            np.testing.assert_allclose(found[: s + 1], expected[s::-1], rtol=1e-13, atol=1e-13)
            assert np.isnan(found[s + 1 :]).all()
    # To the initial state of the layer below, every path takes one of its own steps more.
    initial = [log_of(Fraction(below)) + one for one in joined]
    np.testing.assert_allclose(traces["rnn.h"].log[0, :, 0], initial, rtol=1e-13, atol=1e-13)


def test_a_scalar_recurrence_to_the_power_of_eighty() -> None:
    steps, factor = 80, 1e-30
    losses = [10, 40, 79]
    loss = by_hand(lambda h, _: h * factor, np.ones((2, 1)), time=steps, readout=np.array([3.0]), losses=losses)
    trace = measured(loss)["cell.h"]
    for place, s in enumerate(losses):
        expected = math.log(3) + (s - np.arange(-1, s + 1)) * math.log(factor)
        np.testing.assert_allclose(trace.log[:, place, : s + 2], [expected] * 2, rtol=1e-13)
    assert trace.log[0, 2, 0] < -5000
    np.testing.assert_allclose(lag_curve([trace], "forward").median, np.arange(1, 80) * math.log(factor), rtol=1e-12)


@pytest.mark.parametrize("late", [1e-250, 1.0, 1e250])
def test_a_loss_that_passes_a_state_and_joins_it_again(late: float) -> None:
    # h_t = a h_{t-1}, and the loss reads h_T and, times `late`, h_2: one loss enters where the other is 1e-600.
    factor, steps = 1e-30, 23
    tape = rg.Tape()
    h = start = tape.input(np.ones((1, 2)), "h0")
    states = []
    for t in range(steps):
        with tape.scope(t=t):
            h = h * factor
        states.append(h)
    tape.state("cell.h", states, initial=start)
    out = tape.input(np.zeros((1, 2)), "o0")
    with tape.scope(t=0):
        read = out + states[-1] + states[2] * late
    tape.state("reader.h", [read], initial=out)
    trace = measured(read.sum())["cell.h"]
    a = Fraction(factor)
    for k in range(-1, steps):
        number = a ** (steps - 1 - k) + (Fraction(late) * a ** (2 - k) if k <= 2 else 0)
        np.testing.assert_allclose(trace.log[0, 0, k + 1], log_of(number) + math.log(2) / 2, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("below", "above"), [(1e-30, 1e-100), (1.0, 1e-30), (1e100, 1e-200)])
def test_losses_of_a_decoder_in_its_encoder(below: float, above: float) -> None:
    # The decoder starts from the encoder's last state: its losses arrive there with a band each.
    encoder, decoder = (nn.RNN(1, 1, nonlinearity="relu", name=name) for name in ("encoder", "decoder"))
    for layer, carry in ((encoder, below), (decoder, above)):
        layer.parameter("Wh").value[...] = carry
        layer.parameter("b").value[...] = 2.0**-1000
    tape = rg.Tape()
    last = encoder(tape.input(np.zeros((1, 8, 1)), "x"))[:, 7]
    hidden = decoder(tape.input(np.zeros((1, T, 1)), "y"), last)
    trace = measured(hidden.sum())["encoder.h"]
    steps, k = np.arange(T)[:, None] + 1, np.arange(-1, 8)
    expected = steps * math.log(above) + (7 - k) * math.log(below)
    np.testing.assert_allclose(trace.log[0], expected, rtol=1e-13, atol=1e-12)


def test_samples_keep_scales_of_their_own() -> None:
    factors = np.array([1e-30, 1.0, 1e30])
    loss = by_hand(
        lambda h, _: h * factors[:, None], np.full((3, 2), 1e-290), time=T, readout=np.array([3.0, 4.0]),
        losses=[5, T - 1],
    )  # fmt: skip
    trace = measured(loss)["cell.h"]
    for place, s in enumerate((5, T - 1)):
        lag = s - np.arange(-1, s + 1)
        expected = math.log(5) + lag * np.log(factors)[:, None]
        np.testing.assert_allclose(trace.log[:, place, : s + 2], expected, rtol=1e-12, atol=1e-12)


SMALL = [1e-232, 1e-250, 1e-300, 1e-307]


@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize("factor", SMALL)
def test_one_step_that_leaves_next_to_nothing(factor: float, detail: str) -> None:
    # Below 2^-766 a product leaves the range of a float64, from wherever in the band of its row it starts.
    layer = nn.RNN(1, 1, nonlinearity="relu", detail=detail)
    layer.parameter("Wh").value[...] = factor
    layer.parameter("b").value[...] = 1.0
    trace = measured((layer(rg.Tape().input(np.zeros((1, T, 1)))) * 3.0).sum())["rnn.h"]
    lag = np.arange(T)[:, None] - np.arange(-1, T)
    expected = np.where(lag >= 0, math.log(3) + lag * math.log(factor), np.nan)
    np.testing.assert_allclose(trace.log[0], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("factor", SMALL)
def test_an_input_that_is_read_by_next_to_nothing(factor: float) -> None:
    layer = nn.RNN(2, 1, nonlinearity="relu")
    layer.parameter("Wh").value[...] = factor
    layer.parameter("Wx").value[...] = [[3 * factor], [4 * factor]]
    layer.parameter("b").value[...] = 1.0
    loss = layer(rg.Tape().input(np.zeros((1, T, 2)), "x")).sum()
    (found,) = rg.record(loss, lags=rg.LagOptions("all", "all")).input_lags
    lag = np.arange(T)[:, None] - np.arange(T)
    expected = np.where(lag >= 0, math.log(5) + (lag + 1) * math.log(factor), -math.inf)
    np.testing.assert_allclose(found.log[0], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("factor", SMALL)
def test_a_step_of_two_operations_each_of_which_leaves_next_to_nothing(factor: float) -> None:
    loss = by_hand(
        lambda h, _: h * factor * factor, np.ones((2, 1)), time=T, readout=np.array([3.0]), losses=[T - 1]
    )  # fmt: skip
    trace = measured(loss)["cell.h"]
    expected = math.log(3) + 2 * (T - 1 - np.arange(-1, T)) * math.log(factor)
    np.testing.assert_allclose(trace.log[:, 0], [expected] * 2, rtol=1e-13)


@pytest.mark.parametrize("recurrent", [1e-290, 1e-308])
def test_a_hidden_state_far_below_its_cell_state(recurrent: float) -> None:
    # With gates that stand still, dc_k = f dc_{k+1} and dh_{k-1} = da Wh: far below dc, and in a step with it.
    layer = nn.LSTM(1, 1)
    for name in ("Wx", "Wh", "b"):
        layer.parameter(name).value[...] = 0
    layer.parameter("Wh").value[0, 3] = recurrent
    hidden = layer(rg.Tape().input(np.zeros((1, T, 1))))
    traces = measured(hidden[:, T - 1].sum())
    # i = f = o = 1/2, g = c = 0: dc = dh/2 at the last step, then halves; da_g = dc/2, dh = da_g Wh.
    lag = T - 1 - np.arange(-1, T)
    cell = np.log(0.5) * (lag + 1)
    np.testing.assert_allclose(traces["lstm.c"].log[0, 0], cell, rtol=1e-13)
    state = np.where(lag > 0, cell + math.log(recurrent), 0.0)  # dc of the step after is cell - ln 1/2, and da_g half
    np.testing.assert_allclose(traces["lstm.h"].log[0, 0], state, rtol=1e-13, atol=1e-13)


def test_copies_and_cuts_among_steps_that_leave_next_to_nothing() -> None:
    factor, time, copied, cut = 1e-250, 12, (3, 7), 5
    mask = np.ones((2, time), bool)
    mask[0, copied] = False  # the second sample takes every step
    layer = nn.RNN(1, 1, nonlinearity="relu", truncate=cut)
    layer.parameter("Wh").value[...] = factor
    layer.parameter("b").value[...] = 1.0
    trace = measured(layer(rg.Tape().input(np.zeros((2, time, 1))), mask=mask)[:, time - 1].sum())["rnn.h"]
    for sample, kept in enumerate(mask):
        expected = np.full(time + 1, -math.inf)
        expected[time] = 0.0
        for k in range(time - 1, -1, -1):  # from after step k to before it
            carried = 0.0 if not kept[k] else -math.inf if k % cut == 0 else math.log(factor)
            expected[k] = expected[k + 1] + carried
        np.testing.assert_allclose(trace.log[sample, 0], expected, rtol=1e-13)
