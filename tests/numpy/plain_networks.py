"""Recurrent networks in the styles in which people write them by hand: functions of arrays, dicts, lists and columns.

Nothing here knows of rnngraph. Each returns a loss, or something that a loss can be made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def stable_sigmoid(x: Any) -> Any:
    z = np.zeros_like(x)
    above = x >= 0
    z[above] = 1 / (1 + np.exp(-x[above]))
    grown = np.exp(x[~above])
    z[~above] = grown / (1 + grown)
    return z


def course_rnn(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    n, time, _ = x.shape
    h = np.zeros((n, time, h0.shape[1]))
    cache = []
    before = h0
    for t in range(time):
        before, kept = step(x[:, t, :], before, Wx, Wh, b)
        h[:, t, :] = before
        cache.append(kept)
    return h, cache


def step(x: Any, before: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    after = np.tanh(x.dot(Wx) + before.dot(Wh) + b)
    return after, (x, before, Wx, Wh, after)


def course_lstm(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    n, time, _ = x.shape
    size = h0.shape[1]
    h, c = np.zeros((n, time, size)), np.zeros((n, time, size))
    for t in range(time):
        before = h0 if t == 0 else h[:, t - 1]
        cell = np.zeros((n, size)) if t == 0 else c[:, t - 1]
        a = x[:, t].dot(Wx) + before.dot(Wh) + b
        i, f, o = (stable_sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
        g = np.tanh(a[:, 3 * size :])
        c[:, t] = f * cell + i * g
        h[:, t] = o * np.tanh(c[:, t])
    return h


def char_rnn(inputs: Any, targets: Any, before: Any, Wxh: Any, Whh: Any, Why: Any, bh: Any, by: Any) -> Any:
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(before)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((len(by), 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        loss += -np.log(ps[t][targets[t], 0])
    return loss, hs[len(inputs) - 1]


def vector_rnn(xs: Any, W: Any, U: Any, b: Any) -> Any:
    h = np.zeros(len(b))
    states = []
    for x in xs:
        h = np.tanh(W @ x + U @ h + b)
        states.append(h)
    return np.array(states)


def elman_without_start(xs: Any, Wx: Any, Wh: Any) -> Any:
    h: Any = None
    for x in xs:
        a = x @ Wx
        if h is not None:
            a = a + h @ Wh
        h = np.tanh(a)
    return (h**2).sum()


def joined_lstm(xs: Any, Wf: Any, Wi: Any, Wo: Any, Wc: Any, bf: Any, bi: Any, bo: Any, bc: Any) -> Any:
    size = bf.shape[0]
    h, c = np.zeros((size, 1)), np.zeros((size, 1))
    loss = 0.0
    for x in xs:
        z = np.vstack((h, x))
        f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
        c = f * c + i * np.tanh(Wc @ z + bc)
        h = o * np.tanh(c)
        loss += np.sum(h * h)
    return loss


def separate_lstm(x: Any, p: dict[str, Any]) -> Any:
    n, time, _ = x.shape
    h = c = np.zeros((n, p["Uf"].shape[0]))
    for t in range(time):
        now = x[:, t]
        f = sigmoid(now @ p["Wf"] + h @ p["Uf"] + p["bf"])
        i = sigmoid(now @ p["Wi"] + h @ p["Ui"] + p["bi"])
        o = sigmoid(now @ p["Wo"] + h @ p["Uo"] + p["bo"])
        g = np.tanh(now @ p["Wg"] + h @ p["Ug"] + p["bg"])
        c = f * c + i * g
        h = o * np.tanh(c)
    return np.mean(np.square(h - 0.5))


def gru(x: Any, h: Any, Wr: Any, Ur: Any, Wz: Any, Uz: Any, Wn: Any, Un: Any) -> Any:
    out = []
    for t in range(x.shape[0]):
        r = sigmoid(x[t] @ Wr + h @ Ur)
        z = sigmoid(x[t] @ Wz + h @ Uz)
        n = np.tanh(x[t] @ Wn + (r * h) @ Un)
        h = (1 - z) * h + z * n
        out.append(h)
    return np.stack(out, axis=1)


def packed_gru_columns(xs: Any, W: Any, U: Any, b: Any) -> Any:
    size = U.shape[1]
    h = np.zeros((size, xs[0].shape[1]))
    for x in xs:
        wx, uh = W.dot(x) + b, U.dot(h)
        r = sigmoid(wx[:size] + uh[:size])
        z = sigmoid(wx[size : 2 * size] + uh[size : 2 * size])
        n = np.tanh(wx[2 * size :] + r * uh[2 * size :])
        h = (1 - z) * n + z * h
    return h.sum() ** 2


def two_layers(x: Any, Wx1: Any, Wh1: Any, Wx2: Any, Wh2: Any) -> Any:
    n, time, _ = x.shape
    h1, h2 = np.zeros((n, len(Wh1))), np.zeros((n, len(Wh2)))
    total = 0.0
    for t in range(time):
        h1 = np.tanh(x[:, t] @ Wx1 + h1 @ Wh1)
        h2 = np.tanh(h1 @ Wx2 + h2 @ Wh2)
        total = total + np.sum(h2 * h2)
    return total / n


def both_directions(x: Any, Wx: Any, Wf: Any, Wb: Any, V: Any) -> Any:
    n, time, _ = x.shape
    ahead, behind = np.zeros((n, time, len(Wf))), np.zeros((n, time, len(Wb)))
    h = np.zeros((n, len(Wf)))
    for t in range(time):
        h = np.tanh(x[:, t] @ Wx + h @ Wf)
        ahead[:, t] = h
    h = np.zeros((n, len(Wb)))
    for t in reversed(range(time)):
        h = np.tanh(x[:, t] @ Wx + h @ Wb)
        behind[:, t] = h
    scores = np.concatenate([ahead, behind], axis=2) @ V
    return np.mean(scores**2)


def attention_over_states(x: Any, Wx: Any, Wh: Any, Wa: Any, v: Any) -> Any:
    time, _ = x.shape
    h = np.zeros(len(Wh))
    states = np.zeros((time, len(Wh)))
    loss = 0.0
    for t in range(time):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        states[t] = h
        scores = states[: t + 1] @ Wa @ h
        weights = np.exp(scores - scores.max())
        context = (weights / weights.sum()) @ states[: t + 1]
        loss = loss + (context @ v) ** 2
    return loss


def masked(x: Any, mask: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h = np.zeros((x.shape[0], len(b)))
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        h = np.where(mask[:, t, None], new, h)
    return np.sum(h**2)


def masked_with_its_losses(x: Any, mask: Any, Wx: Any, Wh: Any) -> Any:
    """One mask weighs the state and its loss, so that it multiplies what came out of its own product."""
    h, loss = np.zeros((x.shape[0], len(Wh))), 0.0
    for t in range(x.shape[1]):
        h = mask[:, t, None] * np.tanh(x[:, t] @ Wx + h @ Wh) + (1 - mask[:, t, None]) * h
        loss = loss + ((mask[:, t, None] * h) ** 2).mean()
    return loss


def starting_anew(x: Any, done: Any, Wx: Any, Wh: Any) -> Any:
    h, loss = np.zeros((x.shape[0], len(Wh))), 0.0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + ((1 - done[:, t, None]) * h) @ Wh)
        loss = loss + (h**2).mean()
    return loss


def independent(x: Any, W: Any, u: Any, b: Any) -> Any:
    h = np.zeros((x.shape[0], len(u)))
    for t in range(x.shape[1]):
        h = np.maximum(0, x[:, t] @ W + u * h + b)
    return h.mean()


def no_recurrence(x: Any, W1: Any, b1: Any, W2: Any) -> Any:
    hidden = np.maximum(x @ W1 + b1, 0)
    scores = hidden @ W2
    shifted = scores - scores.max(axis=1, keepdims=True)
    return -np.mean(np.log(np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True))[:, 0])


def siamese(a: Any, b: Any, W: Any) -> Any:
    return np.sum((np.tanh(a @ W) - np.tanh(b @ W)) ** 2)


def loop_over_samples(x: Any, W: Any, V: Any) -> Any:
    return sum([np.tanh(one @ W) @ V for one in x]) ** 2


def tree(leaves: Any, W: Any) -> Any:
    while len(leaves) > 1:
        leaves = [np.tanh(np.concatenate([a, b]) @ W) for a, b in zip(leaves[::2], leaves[1::2], strict=True)]
    return leaves[0].sum()


def leaky(x: Any, Wx: Any, Wh: Any, rate: float = 0.3) -> Any:
    n, time, _ = x.shape
    h = np.zeros((time + 1, n, Wh.shape[0]))
    for t in range(time):
        h[t + 1] = (1 - rate) * h[t] + rate * np.tanh(x[:, t] @ Wx + h[t] @ Wh)
    return h[1:].transpose(1, 0, 2)


def clipped_relu(x: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((len(x), len(Wh)))
    for t in range(x.shape[1]):
        h = np.clip(x[:, t] @ Wx + h @ Wh, 0, 2)
    return np.abs(h).sum()


def projected_first(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    n, time, d = x.shape
    a = (x.reshape(n * time, d) @ Wx + b).reshape(n, time, -1)
    h = np.zeros((n, len(Wh)))
    outs = []
    for t in range(time):
        h = np.tanh(a[:, t] + h @ Wh)
        outs += [h]
    return np.stack(outs, 1)


def in_windows(x: Any, Wx: Any, Wh: Any, window: int = 4) -> Any:
    h = np.zeros((x.shape[0], len(Wh)))
    loss = 0.0
    for start in range(0, x.shape[1], window):
        for t in range(start, min(start + window, x.shape[1])):
            h = np.tanh(x[:, t] @ Wx + h @ Wh)
        loss += np.sum(h[:, 0] ** 2)
    return loss


def encoder_decoder(x: Any, We: Any, Ue: Any, Ud: Any, V: Any, start: Any) -> Any:
    h = np.zeros(len(Ue))
    for one in x:
        h = np.tanh(one @ We + h @ Ue)
    y, out = start, []
    for _ in range(5):
        h = np.tanh(y @ We + h @ Ud)
        y = h @ V
        out.append(y)
    return np.array(out)


def by_letters(x: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((x.shape[0], Wh.shape[0]))
    for t in range(x.shape[1]):
        h = np.tanh(np.einsum("nd,dh->nh", x[:, t], Wx) + np.einsum("nh,hk->nk", h, Wh))
    return np.einsum("nh,nh->", h, h)


def double_loop(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    time, size = x.shape[0], len(b)
    h = np.zeros((time + 1, size))
    for t in range(time):
        a = b.copy()
        a += x[t] @ Wx
        a += h[t] @ Wh
        h[t + 1] = np.tanh(a)
    return h[-1].max() + h[-1].min()


def steps_of_runge_kutta(x: Any, W: Any, h: Any) -> Any:
    for one in x:
        k1 = np.tanh(h @ W + one)
        k2 = np.tanh((h + 0.5 * k1) @ W + one)
        h = h + k2
    return np.sum(h**2)


class Cell:
    """A class that keeps its parameters and its states in itself."""

    def __init__(self, inputs: int, size: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.W_xh = generator.normal(size=(inputs, size)) * 0.4
        self.W_hh = generator.normal(size=(size, size)) * 0.4
        self.b = np.zeros(size)
        self.h: Any = None
        self.history: list[Any] = []

    def step(self, x: Any) -> Any:
        self.h = np.tanh(x @ self.W_xh + self.h @ self.W_hh + self.b)
        self.history.append(self.h)
        return self.h

    def loss(self, xs: Any) -> Any:
        self.h = np.zeros((xs.shape[1], len(self.W_hh)))
        for x in xs:
            self.step(x)
        return np.mean(np.stack(self.history) ** 2)

    def __call__(self, xs: Any) -> Any:
        return self.loss(xs)


class Stack:
    """Objects in objects, with parameters in dicts."""

    def __init__(self) -> None:
        generator = np.random.default_rng(4)
        self.params = {
            "W1": generator.normal(size=(3, 4)), "U1": generator.normal(size=(4, 4)) * 0.3,
            "W2": generator.normal(size=(4, 5)), "U2": generator.normal(size=(5, 5)) * 0.3,
        }  # fmt: skip

    def forward(self, x: Any) -> Any:
        layers = [np.zeros((len(x), 4)), np.zeros((len(x), 5))]
        for t in range(x.shape[1]):
            below = x[:, t]
            for k in range(2):
                layers[k] = np.tanh(below @ self.params[f"W{k + 1}"] + layers[k] @ self.params[f"U{k + 1}"])
                below = layers[k]
        return layers[-1]


class Param:
    """A parameter as an object, with room for its gradient."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.v, self.d = name, value, np.zeros_like(value)


class Params:
    """The parameters of an LSTM, held by one global object that is the default of a function."""

    def __init__(self) -> None:
        generator = np.random.default_rng(2)
        for gate in "fico":
            setattr(self, f"W_{gate}", Param(f"W_{gate}", generator.normal(size=(4, 7)) * 0.4))


PARAMETERS: Any = Params()


def step_of_objects(x: Any, h: Any, c: Any, p: Any = PARAMETERS) -> Any:
    z = np.vstack((h, x))
    f, i, o = sigmoid(p.W_f.v @ z), sigmoid(p.W_i.v @ z), sigmoid(p.W_o.v @ z)
    c = f * c + i * np.tanh(p.W_c.v @ z)
    return o * np.tanh(c), c


def lstm_of_objects(inputs: Any) -> Any:
    hs, cs = {-1: np.zeros((4, 1))}, {-1: np.zeros((4, 1))}
    for t in range(len(inputs)):
        x = np.zeros((3, 1))
        x[inputs[t]] = 1
        hs[t], cs[t] = step_of_objects(x, hs[t - 1], cs[t - 1])
    return np.sum(hs[len(inputs) - 1] ** 2)


def read_backwards(x: Any, Wx: Any, Wh: Any) -> Any:
    """Read a flipped sequence from its start."""
    flipped = x[:, ::-1]
    h = np.zeros((len(x), len(Wh)))
    for t in range(x.shape[1]):
        h = np.tanh(flipped[:, t] @ Wx + h @ Wh)
    return (h**2).sum()


def peephole_lstm(x: Any, W: Any, U: Any, p: Any) -> Any:
    h = c = np.zeros((len(x), 4))
    for t in range(x.shape[1]):
        a = x[:, t] @ W + h @ U
        i, f = sigmoid(a[:, :4] + p[0] * c), sigmoid(a[:, 4:8] + p[1] * c)
        c = f * c + i * np.tanh(a[:, 8:12])
        h = sigmoid(a[:, 12:] + p[2] * c) * np.tanh(c)
    return h.sum()


def normalised(x: Any, W: Any, U: Any, gain: Any, shift: Any) -> Any:
    h = np.zeros((len(x), 4))
    for t in range(x.shape[1]):
        a = x[:, t] @ W + h @ U
        a = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + 1e-3)
        h = np.tanh(gain * a + shift)
    return (h**2).mean()


def fed_back(x: Any, W: Any, V: Any, U: Any) -> Any:
    y, out = np.zeros(2), []
    for now in x:
        y = np.tanh(now @ W + y @ U) @ V
        out.append(y)
    return np.array(out)
