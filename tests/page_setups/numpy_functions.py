"""A hand-written recurrent layer with its backward, as a reader of the README has them."""

from typing import Any

import numpy as np


def forward(x: Any, h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    states = [h]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ Wx + states[-1] @ Wh + b))
    return np.stack(states[1:], 1), (x, states, Wx, Wh)


def backward(dout: Any, cache: Any) -> Any:
    x, states, Wx, Wh = cache
    dx, dWx, dWh, db, dh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), 0.0, 0.0
    for t in reversed(range(x.shape[1])):
        da = (dout[:, t] + dh) * (1 - states[t + 1] ** 2)
        dx[:, t], dh = da @ Wx.T, da @ Wh.T
        dWx, dWh, db = dWx + x[:, t].T @ da, dWh + states[t].T @ da, db + da.sum(axis=0)
    return dx, dh, dWx, dWh, db


rng = np.random.default_rng(0)
x, h0 = rng.normal(size=(8, 20, 4)), np.zeros((8, 6))
Wx, Wh, b = rng.normal(size=(4, 6)), rng.normal(size=(6, 6)) * 0.3, np.zeros(6)
