"""Linear recurrences written by hand, of which every gradient is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg
from rnngraph.nn import Parameter

Array = NDArray[Any]


def linear_loss(weight: Array, h0: Array, c: Array, steps: int) -> rg.Tensor:
    """Record `h_t = h_{t-1} W` for `steps` steps and the loss `c · h_T`; row vectors, one sample."""
    tape = rg.Tape()
    w = tape.parameter(Parameter("linear.W", weight))
    h = start = tape.input(h0, "h0")
    states = []
    for t in range(steps):
        with tape.scope(t=t):
            h = h @ w
        states.append(h)
    tape.state("linear.h", states, initial=start)
    return (h * tape.constant(c)).sum()


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
