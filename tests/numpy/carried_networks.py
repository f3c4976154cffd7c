"""Networks in which what crosses from step to step is no plain `h @ W`: leaks, gates of the input, states that are read
two steps back, batches that shrink.

Nothing here knows of rnngraph.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# ---- a factor that is no weight
def leaky_integrator(x: Any, W: Any, beta: float = 0.9) -> Any:
    v, seen = 0.0, []
    for t in range(len(x)):
        v = beta * v + x[t] @ W
        seen.append(v)
    return np.array(seen[-1])


def exponential_average(x: Any, Wy: Any) -> Any:
    mean, loss = x[0], 0.0
    for now in x[1:]:
        mean = 0.8 * mean + 0.2 * now
        loss = loss + np.sum((mean @ Wy) ** 2)
    return loss


def towards_its_input(x: Any, W: Any, tau: float = 4.0) -> Any:
    v = np.zeros((x.shape[1], W.shape[1]))
    out = np.zeros((len(x), *v.shape))
    for t in range(len(x)):
        v = v + (x[t] @ W - v) / tau
        out[t] = np.tanh(v)
    return out


def spiking(x: Any, W: Any, Wo: Any, beta: float = 0.9) -> Any:
    """Two layers with one leak: the second has the first's spikes as its input."""
    membrane, out, loss = np.zeros((x.shape[1], W.shape[1])), np.zeros((x.shape[1], Wo.shape[1])), 0.0
    for t in range(len(x)):
        spikes = sigmoid(4 * (membrane - 1))
        membrane = beta * membrane + x[t] @ W - spikes
        out = beta * out + spikes @ Wo
        loss = loss + np.sum(out**2)
    return loss


def reset_by_spikes(x: Any, W: Any, Wo: Any, beta: float = 0.9) -> Any:
    """Empty the membrane by its spikes: a longer way than the leak's leads through every step's too."""
    membrane, spikes, loss = np.zeros((x.shape[1], W.shape[1])), np.zeros((x.shape[1], W.shape[1])), 0.0
    for t in range(len(x)):
        membrane = beta * membrane * (1 - spikes) + x[t] @ W
        spikes = sigmoid(5 * (membrane - 1))
        loss = loss + np.sum((spikes @ Wo) ** 2)
    return loss


def synapse_and_membrane(x: Any, W: Any) -> Any:
    current = np.zeros((x.shape[1], W.shape[1]))
    membrane = np.zeros_like(current)
    out = []
    for now in x:
        current = 0.7 * current + now @ W
        membrane = 0.9 * membrane + current
        out.append(membrane)
    return np.stack(out)


def two_that_turn(x: Any, W: Any) -> Any:
    """A damped oscillator a unit: each state is moved by the other one."""
    place, speed = np.zeros((x.shape[1], W.shape[1])), np.zeros((x.shape[1], W.shape[1]))
    loss = 0.0
    for now in x:
        speed = 0.9 * speed - 0.3 * place + now @ W
        place = place + 0.5 * speed
        loss = loss + np.sum(place**2)
    return loss


def leaky_over_rnn(x: Any, Wx: Any, Wh: Any, Wo: Any) -> Any:
    h, out, loss = np.zeros(len(Wh)), np.zeros(Wo.shape[1]), 0.0
    for now in x:
        h = np.tanh(now @ Wx + h @ Wh)
        out = 0.9 * out + h @ Wo
        loss = loss + np.sum(out**2)
    return loss


def min_gru(x: Any, Wz: Any, Wn: Any) -> Any:
    h, states = np.zeros((x.shape[0], Wz.shape[1])), []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ Wz)
        h = (1 - z) * h + z * (x[:, t] @ Wn)
        states.append(h)
    return np.stack(states, 1)


def retention(x: Any, Wq: Any, Wk: Any, Wv: Any) -> Any:
    memory, out = np.zeros((Wk.shape[1], Wv.shape[1])), []
    for now in x:
        memory = 0.9 * memory + np.outer(now @ Wk, now @ Wv)
        out.append((now @ Wq) @ memory)
    return np.array(out)


def momentum(x: Any, y: Any, w: Any) -> Any:
    """A learner that learns: what crosses is its weight and its velocity."""
    velocity = np.zeros_like(w)
    loss = 0.0
    for t in range(len(x)):
        error = x[t] @ w - y[t]
        velocity = 0.9 * velocity - 0.05 * x[t].T @ error
        w = w + velocity
        loss = loss + np.mean(error**2)
    return loss


# ---- matrices that are no argument
def tracked(x: Any, gain: Any) -> Any:
    """A Kalman filter with a gain that is learnt; what moves its state is written into it."""
    moves, seen = np.array([[1.0, 0.1], [0.0, 0.95]]), np.array([[1.0, 0.0]])
    s, loss = np.zeros((2, 1)), 0.0
    for t in range(len(x)):
        s = moves @ s
        error = x[t] - seen @ s
        s = s + gain @ error
        loss = loss + np.sum(error**2)
    return loss


def state_space(u: Any, B: Any, Wy: Any) -> Any:
    moves = np.diag([0.9, 0.8, 0.7, 0.6]) + np.eye(4, k=1) * 0.1
    s, out = np.zeros(4), []
    for t in range(len(u)):
        s = moves @ s + B @ u[t]
        out.append(Wy @ s)
    return np.array(out)


def diagonal_state_space(u: Any, B: Any, Wy: Any) -> Any:
    decay = np.exp(-np.linspace(0.1, 1.0, 4))
    s, out = np.zeros((u.shape[0], 4)), np.zeros((u.shape[0], u.shape[1], Wy.shape[1]))
    for t in range(u.shape[1]):
        s = decay * s + u[:, t] @ B
        out[:, t] = s @ Wy
    return out


# ---- further back than one step
def dilated(x: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((x.shape[0] + 2, x.shape[1], len(Wh)))
    for t in range(len(x)):
        h[t + 2] = np.tanh(x[t] @ Wx + h[t] @ Wh)
    return h[2:]


def dilated_list(x: Any, Wx: Any, Wh: Any) -> Any:
    hs = [np.zeros(len(Wh))] * 2
    for t in range(len(x)):
        hs.append(np.tanh(x[t] @ Wx + hs[-2] @ Wh))
    return np.array(hs[2:])


def skipping(x: Any, Wx: Any, W1: Any, W2: Any) -> Any:
    hs = {-1: np.zeros(len(W1)), -2: np.zeros(len(W1))}
    loss = 0.0
    for t in range(len(x)):
        hs[t] = np.tanh(x[t] @ Wx + hs[t - 1] @ W1 + hs[t - 2] @ W2)
        loss = loss + np.sum(hs[t] ** 2)
    return loss


def narx(x: Any, W: Any, V: Any) -> Any:
    """Two outputs go back in, joined with two inputs."""
    y = [np.zeros(2), np.zeros(2)]
    for t in range(1, len(x)):
        now = np.concatenate([y[-1], y[-2], x[t], x[t - 1]])
        y.append(V @ np.tanh(W @ now))
    return np.array(y[2:])


def autoregression(x: Any, W: Any) -> Any:
    before, last, out = np.zeros(W.shape[1]), np.zeros(W.shape[1]), []
    for now in x:
        before, last = last, 1.2 * last - 0.4 * before + now @ W
        out.append(last)
    return np.array(out)


def clockwork(x: Any, Wx: Any, Wh: Any) -> Any:
    h, states = np.zeros(len(Wh)), []
    for t in range(len(x)):
        after = np.tanh(x[t] @ Wx + h @ Wh)
        due = np.repeat([t % 1 == 0, t % 2 == 0], 2)
        h = np.where(due, after, h)
        states.append(h)
    return np.array(states)


PACES = (slice(0, 2), 1), (slice(2, 3), 2), (slice(3, 4), 3)  # units, and every how many steps they change


def three_paces(x: Any, Wx: Any, Wh: Any) -> Any:
    """Slices of one state, of which the slower ones see no faster one."""
    h, loss = np.zeros((x.shape[1], len(Wh))), 0.0
    for t in range(len(x)):
        after = h.copy()
        for own, pace in PACES:
            if t % pace == 0:
                seen = slice(own.start, None)
                after[:, own] = np.tanh(x[t] @ Wx[:, own] + h[:, seen] @ Wh[seen, own])
        h = after
        loss = loss + np.sum(h**2)
    return loss


def put_together(x: Any, W: Any, Wo: Any, bias: Any) -> Any:
    """A buffer for the input, the last output and a bias that is put once; the output alone is carried."""
    joined, out, loss = np.ones(x.shape[1] + Wo.shape[1] + 1), np.zeros(Wo.shape[1]), 0.0
    joined[-1:] = bias
    for now in x:
        joined[: len(now)] = now
        joined[len(now) : -1] = out
        out = sigmoid(np.dot(sigmoid(np.dot(joined, W)), Wo))
        loss = loss + np.sum(out**2)
    return loss


def modules(x: Any, Wx: Any, Wh: Any) -> Any:
    """Two halves of a state, each an array of its own in a list."""
    hs, loss = [np.zeros((x.shape[1], 2)), np.zeros((x.shape[1], 2))], 0.0
    for t in range(len(x)):
        whole = np.concatenate(hs, axis=1)
        for k in range(2):
            own = slice(2 * k, 2 * k + 2)
            if t % (k + 1) == 0:
                hs[k] = np.tanh(x[t] @ Wx[:, own] + whole @ Wh[:, own])
        loss = loss + np.sum(np.concatenate(hs, axis=1) ** 2)
    return loss


def learned(w: Any, x: Any, y: Any, rate: float = 0.1) -> Any:
    """Weights that a few steps of descent change, each on data of its own."""
    for now, wanted in zip(x, y, strict=True):
        w = w - rate * now.T @ (now @ w - wanted)
    return np.sum(w**2)


def list_from_its_end(xs: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((len(xs[0]), len(Wh)))
    for now in reversed(xs):
        h = np.tanh(now @ Wx + h @ Wh)
    return h


def dict_from_its_end(xs: Any, Wx: Any, Wh: Any) -> Any:
    return list_from_its_end([xs[t] for t in range(len(xs))], Wx, Wh)


# ---- a batch that shrinks
def packed(x: Any, sizes: Any, Wx: Any, Wh: Any) -> Any:
    """Samples sorted by length: each step has those that are still there."""
    h, loss = np.zeros((sizes[0], len(Wh))), 0.0
    for t, n in enumerate(sizes):
        h = np.tanh(x[:n, t] @ Wx + h[:n] @ Wh)
        loss = loss + np.sum(h**2)
    return loss


def packed_lstm(x: Any, sizes: Any, W: Any, U: Any) -> Any:
    size = len(U)
    h, c, last = np.zeros((sizes[0], size)), np.zeros((sizes[0], size)), []
    for t, n in enumerate(sizes):
        a = x[:n, t] @ W + h[:n] @ U
        i, f, o = (sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
        c = f * c[:n] + i * np.tanh(a[:, 3 * size :])
        h = o * np.tanh(c)
        after = sizes[t + 1] if t + 1 < len(sizes) else 0
        last.append(h[after:])
    return np.concatenate(last[::-1])


def packed_by_choice(x: Any, lengths: Any, Wx: Any, Wh: Any) -> Any:
    """Samples in any order: those that are over are left out."""
    h, who, loss = np.zeros((len(x), len(Wh))), np.arange(len(x)), 0.0
    for t in range(max(lengths)):
        stay = lengths[who] > t
        who, h = who[stay], h[stay]
        h = np.tanh(x[who, t] @ Wx + h @ Wh)
        loss = loss + np.sum(h**2)
    return loss


def packed_in_place(x: Any, sizes: Any, Wx: Any, Wh: Any) -> Any:
    h = np.zeros((sizes[0], len(Wh)))
    for t, n in enumerate(sizes):
        h[:n] = np.tanh(x[:n, t] @ Wx + h[:n] @ Wh)
    return h


def packed_back(x: Any, sizes: Any, Wx: Any, Wh: Any) -> Any:
    """From the last step to the first: samples join."""
    h, loss = np.zeros((0, len(Wh))), 0.0
    for t in reversed(range(len(sizes))):
        h = np.concatenate([h, np.zeros((sizes[t] - len(h), len(Wh)))])
        h = np.tanh(x[: sizes[t], t] @ Wx + h @ Wh)
        loss = loss + np.sum(h**2)
    return loss
