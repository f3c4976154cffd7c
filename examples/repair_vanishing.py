"""A network that must remember its first input, repaired step by step as its diagnosis advises.

The class is told at the first step and asked for at the last. Each attempt is diagnosed, then trained for a moment.
"""

from __future__ import annotations

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.contribution import Array
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.trace.change import BIAS, SCALE

T, N, D, H = 50, 32, 4, 24


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw sequences of noise whose first step names one of `D` classes."""
    y = rng.integers(0, D, size=N)
    x = 0.1 * rng.normal(size=(N, T, D))
    x[:, 0] += 3 * np.eye(D)[y]
    return x, y


def loss_of(layer: nn.RNN | nn.LSTM, readout: nn.Linear, rng: np.random.Generator) -> tuple[rg.Tensor, float]:
    """Record the loss of one batch, and compute the accuracy."""
    x, y = batch(rng)
    scores = readout(layer(rg.Tape().input(x)))
    last = np.broadcast_to(np.arange(T) == T - 1, (N, T))
    accuracy = float(np.mean(scores.value[:, -1].argmax(axis=1) == y))
    return nn.temporal_softmax_loss(scores, np.repeat(y[:, None], T, axis=1), last), accuracy


def train(layer: nn.RNN | nn.LSTM, readout: nn.Linear, steps: int = 60) -> float:
    """Train with Adam and return the accuracy over the last ten batches."""
    rng, found, moments = np.random.default_rng(1), [], dict[str, tuple[Array, Array]]()
    for step in range(1, steps + 1):
        loss, accuracy = loss_of(layer, readout, rng)
        found.append(accuracy)
        gradients = rg.gradients(loss)
        for parameter in (*layer.parameters(), *readout.parameters()):
            g = gradients[parameter.name]
            m, v = moments.get(parameter.name, (np.zeros_like(g), np.zeros_like(g)))
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
            moments[parameter.name] = m, v
            parameter.value = parameter.value - 0.01 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
    return float(np.mean(found[-10:]))


def attempt(name: str, layer: nn.RNN | nn.LSTM) -> Diagnosis:
    """Diagnose a layer, train it, and print both."""
    readout = nn.Linear(H, D)
    loss, _ = loss_of(layer, readout, np.random.default_rng(0))
    diagnosis = rg.diagnose(rg.record(loss, lags=True), horizon=T - 1, trial=rg.trial(loss))
    left = f"1e{diagnosis.decades:+.1f} left at lag {T - 1}"
    print(f"{name:28} {diagnosis.verdict:10} {left}; accuracy after 60 steps: {train(layer, readout):.0%}")
    return diagnosis


def main() -> None:
    """Go from networks that forget to such that keep their memory, following the advice, which was tried."""
    scale = best(attempt("RNN", nn.RNN(D, H)), SCALE)
    attempt(f"RNN, recurrent weight x {scale:.3g}", nn.RNN(D, H, gain=scale))
    bias = best(attempt("LSTM", nn.LSTM(D, H)), BIAS)
    attempt(f"LSTM, forget bias {bias:.2f}", nn.LSTM(D, H, forget_bias=bias))
    attempt("LSTM, chrono", nn.LSTM(D, H, init="chrono", horizon=T))


def best(diagnosis: Diagnosis, kind: str) -> float:
    """Take the number of the remedy of a kind that helped, and print the advice."""
    print(next(f"  advice: {one.advice}" for one in diagnosis.findings if one.rule == diagnosis.verdict))
    return next(one.changes[0].number for one in diagnosis.tried if one.helps and one.changes[0].kind == kind)


if __name__ == "__main__":
    main()
