"""Recurrent layers as they are written by hand: a loop forward that keeps what it needs, a loop back, no tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = tuple[Array, ...]


def sigmoid(a: Array) -> Array:
    """Compute the logistic function."""
    return 1 / (1 + np.exp(-a))


def tanh(x: Array, weights: Weights, dh: Array) -> Weights:
    """Run a tanh layer and back; give the gradients of `x` and of the weights."""
    wx, wh, b = weights
    h, caches = np.zeros((len(x), len(wh))), []
    for t in range(x.shape[1]):
        following = np.tanh(x[:, t] @ wx + h @ wh + b)
        caches.append((x[:, t], h, following))
        h = following
    dx, dwx, dwh, db = np.empty_like(x), np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    carried = np.zeros_like(h)
    for t in range(x.shape[1] - 1, -1, -1):
        xt, before, after = caches[t]
        da = (dh[:, t] + carried) * (1 - after**2)
        dx[:, t], carried = da @ wx.T, da @ wh.T
        dwx += xt.T @ da
        dwh += before.T @ da
        db += da.sum(axis=0)
    return dx, dwx, dwh, db


def lstm(x: Array, weights: Weights, dh: Array) -> Weights:
    """Run an LSTM and back; the blocks of the weights are i, f, o, g."""
    wx, wh, b = weights
    size = len(wh)
    h, c, caches = np.zeros((len(x), size)), np.zeros((len(x), size)), []
    for t in range(x.shape[1]):
        a = x[:, t] @ wx + h @ wh + b
        i, f, o = (sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
        g = np.tanh(a[:, 3 * size :])
        c_next = f * c + i * g
        squashed = np.tanh(c_next)
        caches.append((x[:, t], h, c, i, f, o, g, squashed))
        h, c = o * squashed, c_next
    dx, dwx, dwh, db = np.empty_like(x), np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    carried, dc = np.zeros_like(h), np.zeros_like(c)
    for t in range(x.shape[1] - 1, -1, -1):
        xt, before, c_before, i, f, o, g, squashed = caches[t]
        total = dh[:, t] + carried
        dc = dc + total * o * (1 - squashed**2)
        da = np.hstack([
            dc * g * i * (1 - i), dc * c_before * f * (1 - f), total * squashed * o * (1 - o), dc * i * (1 - g**2),
        ])  # fmt: skip
        dx[:, t], carried, dc = da @ wx.T, da @ wh.T, dc * f
        dwx += xt.T @ da
        dwh += before.T @ da
        db += da.sum(axis=0)
    return dx, dwx, dwh, db


def gru(x: Array, weights: Weights, dh: Array) -> Weights:
    """Run a GRU whose reset gate works behind the product, and back; the blocks of the weights are r, z, n."""
    wx, wh, b, bh = weights
    size = len(wh)
    h, caches = np.zeros((len(x), size)), []
    for t in range(x.shape[1]):
        a, u = x[:, t] @ wx + b, h @ wh + bh
        r, z = (sigmoid(a[:, k * size : (k + 1) * size] + u[:, k * size : (k + 1) * size]) for k in range(2))
        n = np.tanh(a[:, 2 * size :] + r * u[:, 2 * size :])
        caches.append((x[:, t], h, r, z, n, u[:, 2 * size :]))
        h = (1 - z) * n + z * h
    dx, dwx, dwh = np.empty_like(x), np.zeros_like(wx), np.zeros_like(wh)
    db, dbh = np.zeros_like(b), np.zeros_like(bh)
    carried = np.zeros_like(h)
    for t in range(x.shape[1] - 1, -1, -1):
        xt, before, r, z, n, un = caches[t]
        total = dh[:, t] + carried
        dn = total * (1 - z) * (1 - n**2)
        dr, dz = dn * un * r * (1 - r), total * (before - n) * z * (1 - z)
        da, du = np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r])
        dx[:, t], carried = da @ wx.T, du @ wh.T + total * z
        dwx += xt.T @ da
        dwh += before.T @ du
        db += da.sum(axis=0)
        dbh += du.sum(axis=0)
    return dx, dwx, dwh, db, dbh


LOOPS: dict[str, Callable[[Any, Any, Any], Weights]] = {"tanh": tanh, "lstm": lstm, "gru": gru}


def products(batch: int, steps: int, width: int, hidden: int) -> Callable[[], None]:
    """Prepare the matrix products alone that a tanh layer needs, forward and back, step by step."""
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(batch, width)), rng.normal(size=(batch, hidden))
    wx, wh = rng.normal(size=(width, hidden)), rng.normal(size=(hidden, hidden))
    pairs = ((x, wx), (h, wh), (h, wx.T), (h, wh.T), (x.T, h), (h.T, h))
    outputs = [left @ right for left, right in pairs]

    def run() -> None:
        for _ in range(steps):
            for (left, right), out in zip(pairs, outputs, strict=True):
                np.matmul(left, right, out=out)

    return run
