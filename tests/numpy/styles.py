"""Cells as people write them, and deep networks that look like one and are none. Nothing here knows of rnngraph."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def minimal_gated(x: Any, Wf: Any, Uf: Any, Wh: Any, Uh: Any) -> Any:
    h = np.zeros(len(Uf))
    for now in x:
        f = sigmoid(now @ Wf + h @ Uf)
        h = (1 - f) * h + f * np.tanh(now @ Wh + (f * h) @ Uh)
    return h


def free_running(start: Any, W: Any, U: Any, V: Any, length: int = 6) -> Any:
    h, y, out = np.zeros(len(U)), start, []
    for _ in range(length):
        h = np.tanh(y @ W + h @ U)
        y = h @ V
        out.append(y)
    return np.array(out)


def residual_stack(x: Any, layers: Any) -> Any:
    inputs = list(x)
    for Wx, Wh in layers:
        h, out = np.zeros(len(Wh)), []
        for now in inputs:
            h = np.tanh(now @ Wx + h @ Wh)
            out.append(now + h)
        inputs = out
    return np.array(inputs)


def by_letters(x: Any, Wx: Any, Wh: Any, Wy: Any) -> Any:
    h, out = np.zeros((x.shape[0], len(Wh))), []
    for t in range(x.shape[1]):
        h = np.tanh(np.einsum("nd,dh->nh", x[:, t], Wx) + np.einsum("nh,hk->nk", h, Wh))
        out.append(np.einsum("nh,ho->no", h, Wy))
    return np.stack(out, axis=1)


def convolved_lstm(x: Any, K: Any, U: Any) -> Any:
    """A row of cells, each of which sees its neighbours: kernels of three places."""
    h, c = np.zeros((x.shape[1], 2)), np.zeros((x.shape[1], 2))
    for t in range(len(x)):
        a = np.zeros((x.shape[1], 8))
        around, own = np.pad(x[t], ((1, 1), (0, 0))), np.pad(h, ((1, 1), (0, 0)))
        for place in range(3):
            a = a + around[place : place + x.shape[1]] @ K[place] + own[place : place + x.shape[1]] @ U[place]
        i, f, o = (sigmoid(a[:, 2 * k : 2 * k + 2]) for k in range(3))
        c = f * c + i * np.tanh(a[:, 6:])
        h = o * np.tanh(c)
    return h


def attends_by_letters(x: Any, y: Any, Wx: Any, Wh: Any, W: Any, U: Any) -> Any:
    """Decode with attention over the encoder's states, by which a step multiplies twice: they are no weight."""
    h, states = np.zeros((len(x), 4)), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh)
        states.append(h)
    every, s, loss = np.stack(states, axis=1), np.zeros((len(x), 4)), 0.0
    for t in range(y.shape[1]):
        scores = np.exp(np.einsum("nh,nth->nt", s, every))
        context = np.einsum("nt,nth->nh", scores / scores.sum(axis=1, keepdims=True), every)
        s = np.tanh(np.concatenate([context, y[:, t]], axis=1) @ W + s @ U)
        loss = loss + (s**2).sum()
    return loss


def hopfield(probe: Any, patterns: Any) -> Any:
    W = patterns.T @ patterns / patterns.shape[1]
    state = probe
    for _ in range(5):
        state = np.tanh(W @ state)
    return state


def euler(y: Any, W1: Any, W2: Any, dt: float = 0.1) -> Any:
    path = [y]
    for _ in range(6):
        y = y + dt * (np.tanh(y @ W1) @ W2)
        path.append(y)
    return np.array(path[-1])


def tied_directions(x: Any, Wx: Any, Wh: Any) -> Any:
    """One cell, and one input that is read at both ends in one loop."""
    ahead, back = np.zeros(len(Wh)), np.zeros(len(Wh))
    for t in range(len(x)):
        ahead = np.tanh(x[t] @ Wx + ahead @ Wh)
        back = np.tanh(x[len(x) - 1 - t] @ Wx + back @ Wh)
    return np.concatenate([ahead, back])


def two_inputs(a: Any, b: Any, Wx: Any, Wh: Any) -> Any:
    """One cell on two sequences side by side."""
    one, other = np.zeros(len(Wh)), np.zeros(len(Wh))
    for t in range(len(a)):
        one = np.tanh(a[t] @ Wx + one @ Wh)
        other = np.tanh(b[t] @ Wx + other @ Wh)
    return one * other


def two_starts(x: Any, a: Any, b: Any, Wx: Any, Wh: Any) -> Any:
    """One cell on one sequence, from two states side by side."""
    for now in x:
        a = np.tanh(now @ Wx + a @ Wh)
        b = np.tanh(now @ Wx + b @ Wh)
    return a * b


def written_space_over_rnn(x: Any, Wx: Any, Wh: Any) -> Any:
    moves, h, s = np.diag([0.9, 0.8, 0.7, 0.6]) + np.eye(4, k=1) * 0.1, np.zeros(4), np.zeros(4)
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh)
        s = moves @ s + h
    return s


def begun_by_a_layer(z: Any, x: Any, W: Any, Wx: Any, Wh: Any) -> Any:
    """The first state is made as every state is, by a weight of its own."""
    h = np.tanh(z @ W)
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh)
    return h


def words_from_the_end(words: Any, table: Any, Wh: Any) -> Any:
    """Only where the states are put tells which way it goes."""
    h, out = np.zeros(len(Wh)), np.zeros((len(words), len(Wh)))
    for t in reversed(range(len(words))):
        h = np.tanh(table[words[t]] + h @ Wh)
        out[t] = h
    return out


def leak_over_a_list(xs: Any) -> Any:
    v = np.zeros(1)
    for x in xs:
        v = 0.9 * v + x
    return v


def layer_over_a_slice(x: Any, Wx: Any, Wh: Any, W: Any, U: Any) -> Any:
    """Many states in one array, of which a second layer reads all but the first."""
    states, above = np.zeros((len(x) + 1, len(Wh))), np.zeros(len(U))
    for t in range(len(x)):
        states[t + 1] = np.tanh(x[t] @ Wx + states[t] @ Wh)
    below = states[1:]
    for t in range(len(below)):
        above = np.tanh(below[t] @ W + above @ U)
    return above


def two_halves(x: Any, Wx: Any, Wh: Any) -> Any:
    """One cell over both halves of a sequence, from zeros each."""
    half, states = len(x) // 2, []
    for part in (range(half), range(half, len(x))):
        h = np.zeros(len(Wh))
        for t in part:
            h = np.tanh(x[t] @ Wx + h @ Wh)
        states.append(h)
    return states[0] * states[1]


# ---- no recurrence
def series(x: Any) -> Any:
    """A power series: its terms differ in their numbers alone."""
    term, total = x, x
    for k in range(2, 8):
        term = term * x / np.array([k])
        total = total + np.sin(term) * term
    return total


def applied_twice(x: Any, W: Any) -> Any:
    """Two layers that share their weight: nothing new enters at the second."""
    return np.tanh(np.tanh(x @ W) @ W)


def convolved(x: Any, K: Any, b: Any) -> Any:
    out = []
    for t in range(len(K) - 1, len(x)):
        out.append(np.tanh(sum(x[t - k] @ K[k] for k in range(len(K))) + b))
    return np.array(out)


def residual_layers(x: Any, layers: Any) -> Any:
    for W, V in layers:
        x = x + np.maximum(x @ W, 0) @ V
    return x


def averaged_layers(x: Any, layers: Any) -> Any:
    for W, V in layers:
        x = 0.5 * x + 0.5 * np.tanh(x @ W) @ V
    return x


def normalized_layers(x: Any, layers: Any, scales: Any) -> Any:
    for (W, V), scale in zip(layers, scales, strict=True):
        x = x + np.maximum(x @ W, 0) @ V
        x = scale * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    return x


def smooth_layers(x: Any, layers: Any) -> Any:
    for W, V in layers:
        x = x @ W
        x = 0.5 * x * (1 + np.tanh(0.8 * x)) @ V
    return x


def square_root(x: Any) -> Any:
    y = 0.5 * (1 + x)
    for _ in range(5):
        y = 0.5 * (y + x / y)
    return y


def pooled(x: Any, W: Any) -> Any:
    total = 0.0
    for now in x:
        total = total + np.tanh(now @ W)
    return total / len(x)


def holt(x: Any, ab: Any) -> Any:
    """Level and trend, smoothed."""
    a, b = sigmoid(ab[0]), sigmoid(ab[1])
    level, trend, loss = x[0], x[1] - x[0], 0.0
    for y in x[1:]:
        loss = loss + (y - level - trend) ** 2
        after = a * y + (1 - a) * (level + trend)
        trend = b * (after - level) + (1 - b) * trend
        level = after
    return loss


def returns(rewards: Any, w: Any) -> Any:
    """Discounted, from the last reward to the first."""
    total, out = 0.0, np.zeros(len(rewards))
    for t in reversed(range(len(rewards))):
        total = rewards[t] @ w + 0.9 * total
        out[t] = total
    return out


def both_over_a_list(xs: Any, Wf: Any, Uf: Any, Wb: Any, Ub: Any) -> Any:
    ahead, h, g = [], np.zeros(len(Uf)), np.zeros(len(Ub))
    back: list[Any] = []
    for x in xs:
        h = np.tanh(x @ Wf + h @ Uf)
        ahead.append(h)
    for x in reversed(xs):
        g = np.tanh(x @ Wb + g @ Ub)
        back.insert(0, g)
    return np.stack([np.concatenate(pair) for pair in zip(ahead, back, strict=True)])


def dilations(x: Any, layers: Any) -> Any:
    """Layer k reads its states k + 1 steps back."""
    out = list(x)
    for back, (W, U) in enumerate(layers, 1):
        hs = [np.zeros(len(U))] * back
        for now in out:
            hs.append(np.tanh(now @ W + hs[-back] @ U))
        out = hs[back:]
    return np.array(out)


def graph_layers(edges: Any, x: Any, W1: Any, W2: Any, W3: Any) -> Any:
    h = np.tanh(edges @ x @ W1)
    h = np.tanh(edges @ h @ W2)
    return edges @ h @ W3


def layers_of_one_array(x: Any, W: Any) -> Any:
    for k in range(len(W)):
        x = 0.5 * x + 0.5 * np.tanh(x @ W[k])
    return x


def finite_impulse(x: Any, w: Any) -> Any:
    return np.array([w[0] * x[t] + w[1] * x[t - 1] + w[2] * x[t - 2] for t in range(2, len(x))])


def errors_in_place(x: Any, Wx: Any, Wh: Any, V: Any) -> Any:
    """Add up the errors of all steps in an array, which is no recurrence."""
    h, loss = np.zeros(4), np.zeros(1)
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh)
        loss += np.abs(h @ V - now[:1])
    return loss


def multiplied_by_its_input(x: Any, W: Any, U: Any) -> Any:
    """Multiply a state, an input and a weight at once."""
    h = np.full((len(x), 4), 0.1)
    for t in range(x.shape[1]):
        h = np.tanh(np.einsum("ni,ijk,nj->nk", x[:, t], W, h) + x[:, t] @ U)
    return (h**2).sum()


def kalman(seen: Any, move: Any, see: Any) -> Any:
    """A mean and a covariance, moved by one matrix; the mean is moved by what the covariance weighs, too."""
    mean, covariance, loss = np.zeros(len(move)), np.eye(len(move)), 0.0
    for now in seen:
        mean, covariance = move @ mean, move @ covariance @ move.T + 0.1 * np.eye(len(move))
        spread = see @ covariance @ see.T + np.eye(len(see))
        gain = covariance @ see.T @ np.linalg.inv(spread)
        error = now - see @ mean
        loss = loss + error @ np.linalg.inv(spread) @ error
        mean, covariance = mean + gain @ error, covariance - gain @ see @ covariance
    return loss


class Added:
    """Layers of other modules, of which this one names none, and what they gave in a deque."""

    def __init__(self, *layers: Any) -> None:
        self.layers, self.given = [*layers], deque[Any](maxlen=2)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer.forward(x)
        self.given.append(x)
        return list(self.given)

    __call__ = forward


def weighed_means(x: Any, layers: Any) -> Any:
    """Keep in one array, by layer, what it saw last and the two sums of a weighed mean; each adds to what passes."""
    kept, loss = np.zeros((len(layers), 3, x.shape[1])), 0.0
    for now in x:
        for layer, (decay, mix, Wk, Wv, Wr, U) in enumerate(layers):
            seen = (now - now.mean()) / now.std()
            last, above, below = kept[layer]
            mixed = seen * mix + last * (1 - mix)
            k, v = np.exp(Wk @ mixed), Wv @ mixed
            now = now + sigmoid(Wr @ mixed) * (above + k * v) / (below + k)
            kept[layer][:2] = seen, decay * above + k * v
            kept[layer][2] = decay * below + k
            now = now + np.tanh(U @ now)
        loss = loss + np.sum(now**2)
    return loss
