"""Networks that people build and that once were measured wrongly; each against a closed form or a plain sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn import Parameter
from tests.linear_cells import orthogonal
from tests.measure.lag_networks import by_hand, captioner, measured


def test_samples_with_a_loss_are_taken_first() -> None:
    mask = np.zeros((32, 12), bool)
    mask[[10, 20, 21], 11] = True
    loss = captioner(nn.RNN(4, 6), batch=32, time=12, mask=mask)
    trace = measured(loss, LagOptions(samples=5))["rnn.h"]
    assert {10, 20, 21} <= set(trace.samples.tolist())
    assert len(trace.samples) == 5
    assert measured(loss, LagOptions(samples=2))["rnn.h"].samples.tolist() == [10, 21]


@pytest.mark.parametrize("samples", [3, 8, 10])
def test_the_spectrum_of_a_part_of_the_batch(samples: int) -> None:
    weight = 0.8 * orthogonal(4)
    loss = by_hand(lambda h, _: h @ h.tape.constant(weight), np.ones((10, 4)), time=12, readout=np.arange(1.0, 5))
    found = rg.spectrum(loss, 4, samples=samples)
    np.testing.assert_allclose(found.lyapunov, math.log(0.8), rtol=1e-12)
    np.testing.assert_allclose(found.singular, 0.8, rtol=1e-9)
    assert found.product_log == pytest.approx(12 * math.log(0.8), rel=1e-9)


def test_an_operand_with_an_axis_of_its_own() -> None:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    weight = tape.parameter(Parameter("cell.W", rng.normal(size=(4, 4))))
    h = tape.input(rng.normal(size=(2, 3, 4)), "h0")
    for t in range(3):
        with tape.scope(t=t):
            h = (h @ weight).tanh()
    loss = (h * h).mean()
    (parameter,) = rg.record(loss).parameters
    assert parameter.grad.value == pytest.approx(float(np.linalg.norm(rg.gradients(loss)["cell.W"])))
    # The same network with the axis folded into the batch.
    flat = rg.Tape()
    weight = flat.parameter(Parameter("cell.W", weight.value))
    h = flat.input(tape.nodes[1].value.reshape(6, 4), "h0")
    for t in range(3):
        with flat.scope(t=t):
            h = (h @ weight).tanh()
    np.testing.assert_allclose(parameter.steps.value, rg.record((h * h).mean()).parameters[0].steps.value, rtol=1e-12)


def test_states_are_declared_once() -> None:
    tape = rg.Tape()
    states = []
    h = tape.input(np.ones((1, 2)), "h0")
    for t in range(3):
        with tape.scope(t=t):
            h = h * 0.5
        states.append(h)
    tape.state("cell.h", states)
    with pytest.raises(InputError, match=r"'cell.h' was declared already"):
        tape.state("cell.h", states)
    with pytest.raises(InputError, match="got states of 'cell', declared already"):
        tape.state("other.h", states)


def test_a_loss_is_dropped_only_where_another_is_under_way_in_the_same_samples() -> None:
    # Sample 0 shrinks to 1e-60 and grows back to 0.1; the other sample, which keeps everything, is no witness of it.
    factors = np.ones((2, 120, 1))
    factors[0, 60:], factors[0, :60] = 0.1, 10.0
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 1)), "h0")
    states = []
    for t in range(120):
        with tape.scope(t=t):
            h = h * factors[:, t]
        states.append(h)
    tape.state("cell.h", states, initial=start)
    first, second = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    loss = (states[119] * first).sum() + (states[118] * second).sum() + (states[60] * second).sum()
    trace = rg.record(loss, lags=LagOptions("all", "all"))
    assert trace.lags[0].log[0, -1, 1] - trace.lags[0].log[0, -1, -1] == pytest.approx(-math.log(10))
