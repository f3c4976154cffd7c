"""The same layers as plain NumPy loops with the backward passes written by hand. Nothing of the package is used."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def logistic(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def rnn(x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, *, dh: Array) -> tuple[Array, ...]:
    """Give h, dx, dh0, dWx, dWh, db."""
    steps = x.shape[1]
    h = [h0]
    for t in range(steps):
        h.append(np.tanh(x[:, t] @ Wx + h[-1] @ Wh + b))
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    carried = np.zeros_like(h0)
    for t in reversed(range(steps)):
        da = (dh[:, t] + carried) * (1 - h[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += h[t].T @ da
        db += da.sum(axis=0)
        carried = da @ Wh.T
    return np.stack(h[1:], axis=1), dx, carried, dWx, dWh, db


def lstm(
    x: Array, h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array, *, dh: Array, dc_last: Array | None = None
) -> tuple[Array, ...]:
    """Give h, the last c, dx, dh0, dc0, dWx, dWh, db."""
    steps, hidden = x.shape[1], h0.shape[1]
    h, c, kept = [h0], [c0], []
    for t in range(steps):
        a = x[:, t] @ Wx + h[-1] @ Wh + b
        i, f, o = (logistic(a[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        g = np.tanh(a[:, 3 * hidden :])
        c.append(f * c[-1] + i * g)
        h.append(o * np.tanh(c[-1]))
        kept.append((i, f, o, g))
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    dh_carried, dc = np.zeros_like(h0), np.zeros_like(c0) if dc_last is None else dc_last.copy()
    for t in reversed(range(steps)):
        i, f, o, g = kept[t]
        total, squashed = dh[:, t] + dh_carried, np.tanh(c[t + 1])
        dc = dc + total * o * (1 - squashed**2)
        da = np.hstack(
            [
                dc * g * i * (1 - i),
                dc * c[t] * f * (1 - f),
                total * squashed * o * (1 - o),
                dc * i * (1 - g**2),
            ]
        )
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += h[t].T @ da
        db += da.sum(axis=0)
        dh_carried, dc = da @ Wh.T, dc * f
    return np.stack(h[1:], axis=1), c[-1], dx, dh_carried, dc, dWx, dWh, db


def softmax_loss(x: Array, y: Array, mask: Array) -> tuple[float, Array]:
    """Give the masked cross-entropy, summed over time and divided by the batch size, and its gradient."""
    batch, steps, _ = x.shape
    loss, dx = 0.0, np.zeros_like(x)
    for n in range(batch):
        for t in range(steps):
            if mask[n, t]:
                p = np.exp(x[n, t] - x[n, t].max())
                p /= p.sum()
                loss -= float(np.log(p[y[n, t]])) / batch
                dx[n, t] = p / batch
                dx[n, t, y[n, t]] -= 1 / batch
    return loss, dx
