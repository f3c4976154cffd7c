"""What is measured of some samples is what is measured of all of them, whatever leads from a loss to a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.tensor import Tensor, stack

N, T, D, H = 3, 5, 2, 4
RNG = np.random.default_rng(0)
X, WX, WH = RNG.normal(size=(N, T, D)), RNG.normal(size=(D, H)), RNG.normal(size=(H, H)) / 2


def turned_stack(x: Any) -> Tensor:
    """Between the layers the order of the steps is turned, which no step-by-step op does."""
    lower = rg.nn.GRU(D, H)(rg.Tape().input(x))
    return rg.nn.LSTM(H, H, name="upper")(lower[:, ::-1])


def own_cell(x: Any, *, batch_axis: int = 0) -> Tensor:
    tape = rg.Tape()
    data, wx, wh = tape.input(x), tape.input(WX, "Wx"), tape.input(WH, "Wh")
    h = tape.constant(np.zeros((len(x), H) if batch_axis == 0 else (H, len(x))))
    states = []
    for t in range(T):
        with tape.scope(t=t):
            at = data[:, t] @ wx
            h = (at + h @ wh).tanh() if batch_axis == 0 else (at.transpose() + wh.transpose() @ h).tanh()
        states.append(h)
    tape.state("own.h", states, batch_axis=batch_axis)
    return stack(states, axis=1)


@pytest.mark.parametrize("network", [turned_stack, own_cell])
def test_lags_of_one_sample_are_those_of_all(network: Callable[[Any], Tensor]) -> None:
    hidden = network(X)
    loss = (hidden * hidden).sum()
    every, one = (rg.record(loss, lags=rg.LagOptions("all", samples)) for samples in ("all", [1]))
    found = [(*every.lags, *every.input_lags), (*one.lags, *one.input_lags)]
    assert len(found[0]) == len(found[1]) > 1
    for whole, part in zip(*found, strict=True):
        assert part.log.shape[0] == 1
        np.testing.assert_allclose(part.log[0], whole.log[1], rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize("batch_axis", [0, 1])
def test_a_spectrum_of_the_first_sample_is_that_of_it_alone(batch_axis: int) -> None:
    three, alone = (own_cell(x, batch_axis=batch_axis).sum() for x in (X, X[:1]))
    found, wanted = rg.spectrum(three, 2, samples=1), rg.spectrum(alone, 2)
    np.testing.assert_allclose(found.lyapunov, wanted.lyapunov, rtol=1e-12)
    np.testing.assert_allclose(found.singular, wanted.singular, rtol=1e-12)
