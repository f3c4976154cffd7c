"""The layers as a student writes them: functions with a cache. The cache is the recorded tape, so it can be drawn.

Compares the gradient of a hand-written backward step with the recorded one, and draws the tape of the whole sequence.
Run `python examples/student_functions.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg
from rnngraph.nn.functional import rnn_backward, rnn_forward, rnn_step_backward, rnn_step_forward

Array = NDArray[Any]


def my_step_backward(dnext_h: Array, x: Array, prev_h: Array, next_h: Array, weights: tuple[Array, Array]) -> Array:
    """Compute the gradient of `prev_h` the way many first attempts do: the tanh is forgotten."""
    _, wh = weights
    return np.asarray(dnext_h @ wh.T)


def main() -> None:
    """Find the mistake, mend it, and look at the whole sequence."""
    rng = np.random.default_rng(0)
    n, t, d, h = 2, 8, 3, 4
    x, h0 = rng.normal(size=(n, t, d)), rng.normal(size=(n, h))
    wx, wh, b = rng.normal(size=(d, h)), rng.normal(size=(h, h)), rng.normal(size=h)

    next_h, cache = rnn_step_forward(x[:, 0], h0, wx, wh, b)
    upstream = rng.normal(size=next_h.shape)
    _, expected, *_ = rnn_step_backward(upstream, cache)
    mine = my_step_backward(upstream, x[:, 0], h0, next_h, (wx, wh))
    mended = my_step_backward(upstream * (1 - next_h**2), x[:, 0], h0, next_h, (wx, wh))
    print(
        f"my dprev_h is off by {np.abs(mine - expected).max():.1e}; "
        f"with the tanh, by {np.abs(mended - expected).max():.1e}"
    )

    hidden, cache = rnn_forward(x, h0, wx, wh, b)
    dh = np.zeros_like(hidden)
    dh[:, -1] = 1  # the loss looks at the last step only
    rnn_backward(dh, cache)
    trace = rg.record(cache)
    for step, norm in enumerate(trace.states[0].grad.value):
        print(f"t={step}  ‖∂L/∂h‖ = {norm:.2e}")
    if len(sys.argv) > 1:
        print("wrote", rg.render(cache, sys.argv[1]))


if __name__ == "__main__":
    main()
