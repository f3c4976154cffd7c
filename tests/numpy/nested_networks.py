"""Hand-written networks whose states, weights or outputs lie in each other: buffers by layer, lists, dicts, objects.

Nothing here knows of rnngraph.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def layers_of_one_buffer(x: Any, h0: Any, first: Any, second: Any) -> Any:
    """Keep both layers in one buffer, read and written by two indices in a row; a layer reads [x, h]."""
    states = np.zeros((len(x) + 1, 2, *h0.shape[1:]))
    states[0] = h0
    for t, now in enumerate(x):
        states[t + 1][0] = np.tanh(np.concatenate((now, states[t][0]), axis=1) @ first)
        states[t + 1][1] = np.tanh(np.concatenate((states[t + 1][0], states[t][1]), axis=1) @ second)
    return states[1:, 1]


def gru_with_one_scratch(x: Any, W: Any, h0: Any) -> Any:
    """Fill one scratch array anew at every step with [1, x, r h]: nothing of it is carried on."""
    time, count, width = x.shape
    size = h0.shape[1]
    out, gates = np.zeros((time, count, size)), np.zeros((time, count, 3 * size))
    scratch, before = np.zeros((count, 1 + width + size)), h0
    for t in range(time):
        scratch[:, 0] = 1
        scratch[:, 1 : 1 + width] = x[t]
        scratch[:, 1 + width :] = before
        gates[t, :, : 2 * size] = sigmoid(scratch.dot(W[:, : 2 * size]))
        scratch[:, 1 + width :] = gates[t, :, :size] * before
        gates[t, :, 2 * size :] = np.tanh(scratch.dot(W[:, 2 * size :]))
        z = gates[t, :, size : 2 * size]
        before = out[t] = (1 - z) * before + z * gates[t, :, 2 * size :]
    return out


def one_slot_in_slices(x: Any, W: Any) -> Any:
    """Put the parts of [x, h] into slices of the same row at every step."""
    joined, size = np.zeros((2, len(W[0]) + x.shape[1])), len(W[0])
    h = np.zeros(size)
    for now in x:
        joined[1, : x.shape[1]] = now
        joined[1, x.shape[1] :] = h
        h = np.tanh(joined[1] @ W)
    return h


def outputs_in_a_list(x: Any, Wx: Any, Wh: Any, Wy: Any) -> Any:
    """Return one output a step, and the last state."""
    h, outputs = np.zeros((4, 1)), []
    for now in x:
        h = np.tanh(Wx @ now + Wh @ h)
        outputs.append(Wy @ h)
    return outputs, h


def outputs_in_a_dict(x: Any, Wx: Any, Wh: Any, Wy: Any) -> Any:
    """Return one probability of a step by its number."""
    hs, ps = {-1: np.zeros((4, 1))}, {}
    for t, now in enumerate(x):
        hs[t] = np.tanh(np.dot(Wx, now) + np.dot(Wh, hs[t - 1]))
        ps[t] = np.exp(np.dot(Wy, hs[t])) / np.sum(np.exp(np.dot(Wy, hs[t])))
    return ps


def numbers_in_a_list(x: Any, Wx: Any, Wh: Any, wy: Any) -> Any:
    """Return one number a step."""
    h, outputs = np.zeros(4), []
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh)
        outputs.append(h @ wy)
    return outputs


class Joined:
    """A cell of one weight on [h, x], which keeps its own history."""

    def __init__(self, width: int, size: int, seed: int) -> None:
        self.parameters = {"W": np.random.default_rng(seed).normal(size=(size + width, size)) * 0.5}
        self.history: list[Any] = []

    def forward(self, x: Any) -> Any:
        if not self.history:
            self.history.append(np.zeros((len(x), self.parameters["W"].shape[1])))
        after = np.tanh(np.hstack([self.history[-1], x]) @ self.parameters["W"])
        self.history.append(after)
        return after


class Both:
    """Two cells, one of which reads from the last step to the first."""

    def __init__(self) -> None:
        self.ahead, self.back = Joined(2, 4, 0), Joined(2, 4, 1)

    def forward(self, x: Any) -> Any:
        ahead: list[Any] = []
        back: list[Any] = []
        for t in range(x.shape[2]):
            ahead.append(self.ahead.forward(x[:, :, t]))
        for t in reversed(range(x.shape[2])):
            back.insert(0, self.back.forward(x[:, :, t]))
        return np.dstack([np.hstack(pair) for pair in zip(ahead, back, strict=True)])


class Tower:
    """Cells above each other, in a list."""

    def __init__(self) -> None:
        self.cells = [Joined(2, 4, 2), Joined(4, 4, 3)]

    def forward(self, x: Any) -> Any:
        for now in x:
            for cell in self.cells:
                now = cell.forward(now)
        return now


def weights_of_objects(x: Any, weights: Any) -> Any:
    """Take weights of unlike shapes in one array of objects, columns, with a row of ones put below."""
    states = [np.zeros((4, 3)), np.zeros((4, 3))]
    for now in x:
        below = now
        for layer, W in enumerate(weights):
            with_ones = np.pad(states[layer], ((0, 1), (0, 0)), "constant", constant_values=1)
            below = states[layer] = np.tanh(W.dot(np.concatenate((below, with_ones))))
    return below


def numbers_by_math(x: Any, weights: Any) -> Any:
    """Compute one unit number by number."""
    h, loss = 0.0, 0.0
    for now in x:
        h = math.tanh(weights[0] * now + weights[1] * h)
        loss += math.log(1 + math.exp(-h)) + math.pow(h, 2)
    return loss


squashed = np.vectorize(lambda x: 1 / (1 + math.exp(-x)))


def element_by_element(x: Any, Wx: Any, Wh: Any) -> Any:
    """Squash with a function of one number that is made one of arrays."""
    h = np.zeros(4)
    for now in x:
        h = squashed(now @ Wx + h @ Wh)
    return h


def transition_of_its_step(x: Any, W: Any, V: Any) -> Any:
    """Discretise a linear recurrence anew at every step, as one does whose memory grows with time."""
    h, eye = np.zeros((4, 1)), np.eye(4)
    for t, now in enumerate(x):
        ahead = np.linalg.inv(eye - 0.5 * W / (t + 2))
        h = ahead @ (eye + 0.5 * W / (t + 1)) @ h + ahead @ V / (t + 1) * now
    return (h**2).sum()


def memory_behind_the_state(x: Any, Wc: Any, Wm: Any, Wy: Any) -> Any:
    """Read a memory that is written after the output: the last writing leads nowhere, and only the states go on."""
    memory, state, loss = np.zeros(4), np.zeros(4), 0.0
    for now in x:
        z = np.hstack([now, memory])
        gate = sigmoid(z @ Wc[:, :4])
        state = (1 - gate) * state + gate * np.tanh(z @ Wc[:, 4:])
        loss += ((state @ Wy) ** 2).sum()
        memory = 0.9 * memory + state @ Wm
    return loss


def gates_alone(x: Any, Wz: Any, Wn: Any) -> Any:
    """Return what every step computed on the way, of which the last state is no part."""
    h, kept = np.zeros((len(x), 4)), []
    for t in range(x.shape[1]):
        joined = np.column_stack([x[:, t], h])
        z, n = sigmoid(joined @ Wz), np.tanh(joined @ Wn)
        h = (1 - z) * n + z * h
        kept.append([z, n])
    return kept, h


class GatesInDicts:
    """An LSTM whose weights stand in a dict by gate, and whose gates are written into buffers."""

    def __init__(self) -> None:
        draw = np.random.default_rng(4).normal
        self.W = {gate: draw(0, 0.5, (6, 4)) for gate in "ifgo"}
        self.cache: list[Any] = []

    def forward(self, xs: Any) -> Any:
        h, c, z = np.zeros((len(xs), 4)), np.zeros((len(xs), 4)), np.empty((len(xs), 4))
        for t in range(xs.shape[1]):
            joined = np.hstack((h, xs[:, t]))
            gates = {gate: 1 / (1 + np.exp(-joined @ self.W[gate])) for gate in "ifo"}
            np.dot(joined, self.W["g"], out=z)
            np.tanh(z, out=z)
            c = gates["f"] * c + gates["i"] * z
            h = gates["o"] * np.tanh(c)
            self.cache.append((gates, h))
        return h


def asked_of_itself(x: Any, Wx: Any, Wh: Any) -> Any:
    """Call itself for the state before, and attend over all states, whose products by einsum are no steps."""

    def states(t: int) -> list[Any]:
        before = states(t - 1) if t else [np.zeros((len(x), 4))]
        return [*before, np.tanh(x[:, t] @ Wx + before[-1] @ Wh)]

    found = states(x.shape[1] - 1)
    every = np.stack(found[1:], axis=1)
    scores = np.exp(np.einsum("nh,nth->nt", found[-1], every))
    return (np.einsum("nt,nth->nh", scores / scores.sum(axis=1, keepdims=True), every) ** 2).sum()


def decays_of_their_logarithms(x: Any, B: Any, a: Any, dt: Any, c: Any) -> Any:
    """A diagonal linear recurrence, whose factors are computed once, from leaves."""
    step = np.exp(dt)
    decay, state, loss = np.exp(-np.exp(a) * step), np.zeros(len(a)), 0.0
    for one in x:
        state = decay * state + step * (one @ B)
        loss += (state @ c) ** 2
    return loss


def written_twice(x: Any, Wx: Any, Wh: Any) -> Any:
    """A leaky ReLU whose argument is written twice, and the largest of all states."""
    h, states = np.zeros((len(x), len(Wh))), []
    for t in range(x.shape[1]):
        h = np.maximum(x[:, t] @ Wx + h @ Wh, 0.01 * (x[:, t] @ Wx + h @ Wh))
        states.append(h)
    return (np.max(states, axis=0) ** 2).sum()


def polynomial(x: Any, W: Any, a: Any, b: Any) -> Any:
    """By Horner's rule: a value that depends on a product multiplies again and again, and is no weight."""
    z = np.tanh(x @ W)
    return (((a * z + b) * z + a) * z + b).sum()


def last_states_of_both(xs: Any, ahead: Any, back: Any, Wy: Any) -> Any:
    """Read a sequence both ways, data joined with states, and give what the last states of both say together."""
    states = []
    for weights, order in ((ahead, xs), (back, xs[::-1])):
        h, c = np.zeros(4), np.zeros(4)
        for x in order:
            joined = np.hstack((h, x))
            forget, enter, out, new = (w @ joined for w in weights)
            c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(new)
            h = sigmoid(out) * np.tanh(c)
        states.append(h)
    return Wy @ np.concatenate(states[::-1])
