"""The functions of an image-captioning model in the form in which a course asks for them; nothing knows of rnngraph."""

from __future__ import annotations

from typing import Any

import numpy as np


def affine_forward(x: Any, w: Any, b: Any) -> Any:
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)


def rnn_step_forward(x: Any, prev_h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    next_h = np.tanh(np.dot(x, Wx) + np.dot(prev_h, Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    N, T, _ = x.shape
    H = h0.shape[1]
    h, cache = np.zeros((N, T, H)), []
    prev_h = h0
    for t in range(T):
        h[:, t, :], step_cache = rnn_step_forward(x[:, t, :], prev_h, Wx, Wh, b)
        prev_h = h[:, t, :]
        cache.append(step_cache)
    return h, cache


def word_embedding_forward(x: Any, W: Any) -> Any:
    N, T = x.shape
    out = np.zeros((N, T, W.shape[1]))
    for i in range(N):
        for j in range(T):
            out[i, j, :] = W[x[i, j]]
    return out, (x, W)


def sigmoid(x: Any) -> Any:
    pos_mask = x >= 0
    neg_mask = x < 0
    z = np.zeros_like(x)
    z[pos_mask] = np.exp(-x[pos_mask])
    z[neg_mask] = np.exp(x[neg_mask])
    top = np.ones_like(x)
    top[neg_mask] = z[neg_mask]
    return top / (1 + z)


def lstm_step_forward(x: Any, prev_h: Any, prev_c: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, i, f, o, g, next_c, Wx, Wh)


def lstm_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    N, T, _ = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev_h, prev_c, cache = h0, np.zeros_like(h0), []
    for t in range(T):
        prev_h, prev_c, step_cache = lstm_step_forward(x[:, t], prev_h, prev_c, Wx, Wh, b)
        h[:, t] = prev_h
        cache.append(step_cache)
    return h, cache


def temporal_affine_forward(x: Any, w: Any, b: Any) -> Any:
    N, T, D = x.shape
    out = x.reshape(N * T, D).dot(w).reshape(N, T, b.shape[0]) + b
    return out, (x, w, b, out)


def temporal_softmax_loss(x: Any, y: Any, mask: Any) -> Any:
    N, T, V = x.shape
    x_flat, y_flat, mask_flat = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    probs = np.exp(x_flat - np.max(x_flat, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(mask_flat * np.log(probs[np.arange(N * T), y_flat])) / N
    dx_flat = probs.copy()
    dx_flat[np.arange(N * T), y_flat] -= 1
    dx_flat /= N
    dx_flat *= mask_flat[:, None]
    return loss, dx_flat.reshape(N, T, V)


class CaptioningRNN:
    """The model of those functions."""

    def __init__(self, params: dict[str, Any], cell: str) -> None:
        self.params, self.cell_type = params, cell

    def loss(self, features: Any, captions: Any) -> Any:
        captions_in, captions_out = captions[:, :-1], captions[:, 1:]
        mask = captions_out != 0
        p = self.params
        h0, _ = affine_forward(features, p["W_proj"], p["b_proj"])
        x, _ = word_embedding_forward(captions_in, p["W_embed"])
        forward = rnn_forward if self.cell_type == "rnn" else lstm_forward
        h, _ = forward(x, h0, p["Wx"], p["Wh"], p["b"])
        scores, _ = temporal_affine_forward(h, p["W_vocab"], p["b_vocab"])
        return temporal_softmax_loss(scores, captions_out, mask)
