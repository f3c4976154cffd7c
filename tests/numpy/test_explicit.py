"""The explicit form: NumPy code on a tape of one's own, with states that are declared by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import rnngraph as rg
import rnngraph.numpy as np


def test_a_tape_of_ones_own_with_declared_states() -> None:
    draw = numpy.random.default_rng(0).normal
    arrays = draw(size=(6, 2, 3)), draw(size=(4, 2)) * 0.5, draw(size=(4, 4)) * 0.5
    tape = np.ArrayTape()
    x, wx, wh = (tape.input(array, name) for array, name in zip(arrays, ("x", "Wx", "Wh"), strict=True))
    h, states = np.zeros((4, 3)), []
    for t in range(6):
        with tape.scope(layer="mine", t=t):
            h = np.tanh(wx @ x[t] + wh @ h)
        states.append(h)
    tape.state("mine.h", states, batch_axis=1)
    loss = np.sum(h**2)
    trace = rg.record(loss, lags=True)
    assert (trace.timesteps, trace.states[0].name) == (6, "mine.h")

    def forward(x: object, Wx: object, Wh: object) -> object:
        h = np.zeros((4, 3))
        for t in range(6):
            h = np.tanh(Wx @ x[t] + Wh @ h)  # type: ignore[index]
        return np.sum(h**2)

    found = rg.record(rg.trace_function(forward, *arrays))
    numpy.testing.assert_allclose(trace.states[0].grad.value, found.states[0].grad.value, rtol=1e-13)
    assert float(loss.value) == pytest.approx(found.loss)


@pytest.mark.parametrize("make", [lambda: np.empty((3, 4)), lambda: np.empty_like(prototype=numpy.ones((3, 4)))])
def test_what_stands_in_an_empty_array_by_chance_is_no_number_of_the_network(make: Callable[[], Any]) -> None:
    for _ in range(20):
        left = numpy.full((3, 4), numpy.nan)
        del left  # its memory is what the next array of its size is given
        assert not make().value.any()
