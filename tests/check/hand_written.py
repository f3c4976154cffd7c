"""Layers and their backward passes, written by hand, in the way in which people write them. They are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.gradcheck.report import CheckReport


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rnn_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h = [h0]
    for t in range(x.shape[1]):
        h.append(np.tanh(x[:, t] @ Wx + h[-1] @ Wh + b))
    return np.stack(h[1:], axis=1), (x, h, Wx, Wh)


def rnn_backward(dh: Any, cache: Any) -> Any:
    x, h, Wx, Wh = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    carried = np.zeros_like(h[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carried
        da = total * (1 - h[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        carried = da @ Wh.T
        dWx += x[:, t].T @ da
        dWh += h[t].T @ da
        db += da.sum(axis=0)
    return dx, carried, dWx, dWh, db


def lstm_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    n, time, _ = x.shape
    size = h0.shape[1]
    out, before, cell, cache = np.zeros((n, time, size)), h0, np.zeros((n, size)), []
    for t in range(time):
        a = x[:, t] @ Wx + before @ Wh + b
        i, f, o = (sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
        g = np.tanh(a[:, 3 * size :])
        new = f * cell + i * g
        squashed = np.tanh(new)
        cache.append((x[:, t], before, cell, i, f, o, g, squashed, Wx, Wh))
        before, cell = o * squashed, new
        out[:, t] = before
    return out, cache


def lstm_backward(dh: Any, cache: Any) -> Any:
    n, time, size = dh.shape
    Wx, Wh = cache[0][-2:]
    dx, dWx, dWh, db = np.zeros((n, time, len(Wx))), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(4 * size)
    dnext, dcell = np.zeros((n, size)), np.zeros((n, size))
    for t in reversed(range(time)):
        x, before, cell, i, f, o, g, squashed, Wx, Wh = cache[t]
        total = dh[:, t] + dnext
        do = total * squashed
        dnew = dcell + total * o * (1 - squashed**2)
        df = dnew * cell
        di = dnew * g
        dg = dnew * i
        dcell = dnew * f
        ai = di * i * (1 - i)
        af = df * f * (1 - f)
        ao = do * o * (1 - o)
        ag = dg * (1 - g**2)
        da = np.hstack([ai, af, ao, ag])
        dx[:, t] = da @ Wx.T
        dnext = da @ Wh.T
        dWx += x.T @ da
        dWh += before.T @ da
        db += da.sum(axis=0)
    return dx, dnext, dWx, dWh, db


def gru_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    size, h, cache, out = h0.shape[1], h0, [], []
    for t in range(x.shape[1]):
        a, p = x[:, t] @ Wx + b, h @ Wh
        r, z = sigmoid(a[:, :size] + p[:, :size]), sigmoid(a[:, size : 2 * size] + p[:, size : 2 * size])
        n = np.tanh(a[:, 2 * size :] + r * p[:, 2 * size :])
        cache.append((x[:, t], h, r, z, n, p[:, 2 * size :], Wx, Wh))
        h = (1 - z) * n + z * h
        out.append(h)
    return np.stack(out, axis=1), cache


def gru_backward(dh: Any, cache: Any) -> Any:
    n_samples, time, size = dh.shape
    Wx, Wh = cache[0][-2:]
    dx, dWx, dWh, db = np.zeros((n_samples, time, len(Wx))), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(3 * size)
    carried = np.zeros((n_samples, size))
    for t in reversed(range(time)):
        x, before, r, z, n, p, Wx, Wh = cache[t]
        total = dh[:, t] + carried
        dn = total * (1 - z)
        dz = total * (before - n)
        an = dn * (1 - n**2)
        ar = an * p * r * (1 - r)
        az = dz * z * (1 - z)
        da = np.hstack([ar, az, an])
        dp = np.hstack([ar, az, an * r])
        dx[:, t] = da @ Wx.T
        carried = dp @ Wh.T + total * z
        dWx += x.T @ da
        dWh += before.T @ dp
        db += da.sum(axis=0)
    return dx, carried, dWx, dWh, db


def affine_forward(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, (x, w)


def affine_backward(dout: Any, cache: Any) -> Any:
    x, w = cache
    dx = dout @ w.T
    dw = np.einsum("ntd,ntm->dm", x, dout)
    db = dout.sum(axis=(0, 1))
    return dx, dw, db


def softmax_forward(scores: Any, words: Any) -> Any:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    rows = tuple(np.indices(words.shape))
    return -np.log(shares[(*rows, words)]).sum() / len(scores), (shares, words, rows)


def softmax_backward(dloss: Any, cache: Any) -> Any:
    shares, words, rows = cache
    d = shares.copy()
    d[(*rows, words)] -= 1
    d = d / len(d)
    return dloss * d


def joined_forward(x: Any, h0: Any, c0: Any, W: Any, b: Any) -> Any:
    """An LSTM in one weight for all gates of [h, x]."""
    size, h, cell, cache, out = h0.shape[1], h0, c0, [], []
    for t in range(x.shape[1]):
        z = np.hstack([h, x[:, t]])
        a = z @ W + b
        i, f, o = (sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
        g = np.tanh(a[:, 3 * size :])
        new = f * cell + i * g
        cache.append((z, cell, i, f, o, g, new, W))
        h, cell = o * np.tanh(new), new
        out.append(h)
    return np.stack(out, axis=1), cache


def joined_backward(dh: Any, cache: Any) -> Any:
    n, time, size = dh.shape
    W = cache[0][-1]
    dx, dW, db = np.zeros((n, time, len(W) - size)), np.zeros_like(W), np.zeros(4 * size)
    dnext, dcell = np.zeros((n, size)), np.zeros((n, size))
    for t in reversed(range(time)):
        z, cell, i, f, o, g, new, W = cache[t]
        total = dh[:, t] + dnext
        dnew = dcell + total * o * (1 - np.tanh(new) ** 2)
        ai = dnew * g * i * (1 - i)
        af = dnew * cell * f * (1 - f)
        ao = total * np.tanh(new) * o * (1 - o)
        ag = dnew * i * (1 - g**2)
        da = np.hstack([ai, af, ao, ag])
        dz = da @ W.T
        dnext, dx[:, t] = dz[:, :size], dz[:, size:]
        dcell = dnew * f
        dW += z.T @ da
        db += da.sum(axis=0)
    return dx, dnext, dcell, dW, db


def both_forward(x: Any, Wxa: Any, Wha: Any, Wxb: Any, Whb: Any, Wy: Any) -> Any:
    """Run in both directions; give scores of every step, and the last state of the first direction."""
    time, zero = range(x.shape[1]), np.zeros((len(x), len(Wha)))
    ahead, back = {-1: zero}, {len(time): zero}
    for t in time:
        ahead[t] = np.tanh(x[:, t] @ Wxa + ahead[t - 1] @ Wha)
    for t in reversed(time):
        back[t] = np.tanh(x[:, t] @ Wxb + back[t + 1] @ Whb)
    scores = np.stack([ahead[t] @ Wy + back[t] for t in time], axis=1)
    return scores, ahead[time[-1]], (x, ahead, back, Wxa, Wha, Wxb, Whb, Wy)


def both_backward(dscores: Any, dlast: Any, cache: Any) -> Any:
    x, ahead, back, Wxa, Wha, Wxb, Whb, Wy = cache
    dx, dWxa, dWha, dWxb, dWhb, dWy = (np.zeros_like(one) for one in (x, Wxa, Wha, Wxb, Whb, Wy))
    carried = dlast
    for t in reversed(range(x.shape[1])):
        da = (dscores[:, t] @ Wy.T + carried) * (1 - ahead[t] ** 2)
        carried = da @ Wha.T
        dx[:, t] += da @ Wxa.T
        dWxa += x[:, t].T @ da
        dWha += ahead[t - 1].T @ da
        dWy += ahead[t].T @ dscores[:, t]
    carried = np.zeros_like(dlast)
    for t in range(x.shape[1]):
        da = (dscores[:, t] + carried) * (1 - back[t] ** 2)
        carried = da @ Whb.T
        dx[:, t] += da @ Wxb.T
        dWxb += x[:, t].T @ da
        dWhb += back[t + 1].T @ da
    return dx, dWxa, dWha, dWxb, dWhb, dWy


def verdicts(report: CheckReport) -> list[str]:
    """Read off the report what is said of each argument."""
    return [line.split()[-1] for line in str(report).splitlines()[2 : 2 + len(report.rows)]]
