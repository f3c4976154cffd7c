"""With one sample, weights share the norms of their factors: every step's part is that of the primitive operations."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

LAYERS = {"rnn": rg.nn.RNN, "lstm": rg.nn.LSTM, "gru": rg.nn.GRU}


@pytest.mark.parametrize("cell", LAYERS)
def test_steps_of_the_weights(cell: str) -> None:
    x = np.random.default_rng(0).normal(size=(1, 9, 3))
    traces = []
    for detail in ("step", "op"):
        output = LAYERS[cell](3, 5, detail=detail)(rg.Tape().input(x))
        traces.append(rg.record((output * output).sum()))
    for one, other in zip(*(trace.parameters for trace in traces), strict=True):
        assert one.name == other.name
        np.testing.assert_allclose(one.steps.value, other.steps.value, rtol=1e-10)
        np.testing.assert_array_equal(one.steps.status, other.steps.status)
