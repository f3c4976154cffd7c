"""Networks with a known truth, for the verdicts: made by name, seed and form of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.model import Trace
from tests.linear_cells import linear_loss

Array = Any


def recorded(
    layer: Any,
    seed: int = 0,
    *,
    time: int = 90,
    batch: int = 4,
    loss: str = "every",
    scale: float = 1.0,
    inputs: float = 1.0,
    mask: Array = None,
    copy: bool = False,
    lags: Any = True,
) -> Trace:
    """Record a layer under a softmax loss `every` step or on the `last`; `mask` says which steps bear a loss."""
    rng = np.random.default_rng(seed)
    dtype = next(layer.parameters()).value.dtype
    tape = rg.Tape()
    x = tape.input((inputs * rng.normal(size=(batch, time, layer.input_size))).astype(dtype))
    hidden = layer(x, mask=mask if copy else None)
    scores = nn.Linear(hidden.shape[-1], 5, dtype=dtype, seed=seed)(hidden)
    counted = np.ones((batch, time), bool) if mask is None else mask.copy()
    if loss == "last":
        last = counted.shape[1] - 1 - counted[:, ::-1].argmax(axis=1)
        counted = counted & (np.arange(time) == last[:, None])
    total = nn.temporal_softmax_loss(scores, rng.integers(0, 5, size=(batch, time)), counted) * scale
    return rg.record(total, lags=lags)


def linear(
    weight: Array, *, time: int = 90, losses: str = "last", readout: Array = None, dtype: Any = np.float64
) -> Trace:
    """Record a linear recurrence from ones, with the loss readout · h at `every` step or the `last`."""
    readout = np.arange(1.0, len(weight) + 1) if readout is None else readout
    steps = range(time) if losses == "every" else None
    h0 = np.ones((2, len(weight)), dtype)
    return rg.record(linear_loss(weight.astype(dtype), h0, readout.astype(dtype), time, losses=steps), lags=True)
