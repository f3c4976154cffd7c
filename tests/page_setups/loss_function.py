"""A loss function as scripts have it, with its gradients beside the loss, as a reader of the page on NumPy has one."""

from typing import Any

import numpy as np

rng = np.random.default_rng(0)
inputs, targets, hprev = rng.normal(size=(6, 3)), rng.normal(size=(6, 4)), np.zeros(4)
Wxh, Whh = rng.normal(size=(4, 3)), 0.5 * rng.normal(size=(4, 4))


def lossFun(inputs: Any, targets: Any, hprev: Any) -> tuple[Any, ...]:  # noqa: N802
    """Sum the squared errors over the steps, and walk back."""
    hs, loss = {-1: hprev}, 0.0
    for t in range(len(inputs)):
        hs[t] = np.tanh(Wxh @ inputs[t] + Whh @ hs[t - 1])
        loss = loss + ((hs[t] - targets[t]) ** 2).sum()
    dWxh, dWhh, dnext = np.zeros((4, 3)), np.zeros((4, 4)), np.zeros(4)
    for t in reversed(range(len(inputs))):
        draw = (1 - hs[t] ** 2) * (2 * (hs[t] - targets[t]) + dnext)
        dWxh = dWxh + np.outer(draw, inputs[t])
        dWhh = dWhh + np.outer(draw, hs[t - 1])
        dnext = Whh.T @ draw
    return loss, dWxh, dWhh
