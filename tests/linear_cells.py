"""Linear recurrences written by hand, of which every gradient is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg
from rnngraph.nn import Parameter

Array = NDArray[Any]


def orthogonal(size: int, seed: int = 0) -> Array:
    """A random orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def linear_loss(
    weight: Array, h0: Array, readout: Array, steps: int, *, losses: Sequence[int] | None = None
) -> rg.Tensor:
    """Record `h_t = h_{t-1} Wᵀ`, so that a gradient is carried back by W; a row of `h0` is a sample.

    The loss is `readout · h_s` of the last step, or summed over the steps `losses`.
    """
    tape = rg.Tape()
    w = tape.parameter(Parameter("cell.W", np.ascontiguousarray(weight.T)))
    h = start = tape.input(h0, "h0")
    states = []
    for t in range(steps):
        with tape.scope(t=t):
            h = h @ w
        states.append(h)
    tape.state("cell.h", states, initial=start)
    c = tape.constant(readout)
    first, *others = [(states[s] * c).sum() for s in (losses or [steps - 1])]
    return sum(others, start=first)


def elementwise_loss(factor: float, steps: int, dtype: type = np.float64) -> rg.Tensor:
    """Record `h_t = w h_{t-1}` and the loss `h_T`, for a scalar w."""
    tape = rg.Tape()
    w = tape.parameter(Parameter("scalar.w", np.full((1, 1), factor, dtype)))
    h = start = tape.input(np.ones((1, 1), dtype), "h0")
    states = []
    for t in range(steps):
        with tape.scope(t=t):
            h = h * w
        states.append(h)
    tape.state("scalar.h", states, initial=start)
    return h.sum()
