"""Networks with a known truth, for the verdicts: made by name, seed and form of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.model import Trace

Array = Any


def recorded(
    layer: Any,
    *,
    time: int = 90,
    batch: int = 4,
    seed: int = 0,
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
    """Record h_t = h_{t-1} Wᵀ from ones, with the loss readout · h."""
    size = len(weight)
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, size), dtype), "h0")
    transposed = tape.constant(np.asarray(weight, dtype).T.copy())
    states = []
    for t in range(time):
        with tape.scope(t=t):
            h = h @ transposed
        states.append(h)
    tape.state("cell.h", states, initial=start)
    readout = np.arange(1.0, size + 1) if readout is None else readout
    steps = range(time) if losses == "every" else [time - 1]
    total = (states[steps[0]] * readout.astype(dtype)).sum()
    for s in list(steps)[1:]:
        total = total + (states[s] * readout.astype(dtype)).sum()
    return rg.record(total, lags=True)


def orthogonal(size: int, seed: int = 0) -> Array:
    """A random orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
