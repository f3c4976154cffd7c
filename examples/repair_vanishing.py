"""A network that must remember its first input, repaired step by step as its diagnosis advises.

The class of a sequence is told at the first step only and asked for at the last. Each attempt is diagnosed before it
learns, then trained for a moment: accuracy follows the verdict. Run `python examples/repair_vanishing.py`.
"""

from __future__ import annotations

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.contribution import Array
from rnngraph.diagnosis.verdict import Diagnosis

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
    last = np.zeros((N, T), bool)
    last[:, -1] = True
    accuracy = float(np.mean(scores.value[:, -1].argmax(axis=1) == y))
    return nn.temporal_softmax_loss(scores, np.repeat(y[:, None], T, axis=1), last), accuracy


def train(layer: nn.RNN | nn.LSTM, readout: nn.Linear, steps: int = 60) -> float:
    """Train with Adam and return the accuracy over the last ten batches."""
    rng, found = np.random.default_rng(1), []
    moments: dict[str, tuple[Array, Array]] = {}
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
    diagnosis = rg.diagnose(rg.record(loss, lags=True))
    reach = f"1e{diagnosis.decades:+.1f} left at lag {diagnosis.horizon}"
    print(f"{name:28} {diagnosis.verdict:10} {reach}; accuracy after 60 steps: {train(layer, readout):.0%}")
    return diagnosis


def main() -> None:
    """Go from a plain RNN to an LSTM that keeps its memory, following the advice."""
    before = attempt("RNN", nn.RNN(D, H))
    advice = next(finding for finding in before.findings if finding.rule == "vanishing")
    print(f"  advice: {advice.advice}")
    attempt("RNN, orthogonal", nn.RNN(D, H, init="orthogonal"))
    bias = float(advice.evidence["forget_bias"] or 0)
    attempt(f"LSTM, forget bias {bias:.2f}", nn.LSTM(D, H, forget_bias=bias))
    attempt("LSTM, chrono", nn.LSTM(D, H, init="chrono", horizon=T))


if __name__ == "__main__":
    main()
