"""Two networks learn to say at the end which of four symbols stood first: one will, one does not, and which is which
shows in how far back they learn before it shows in the loss. Run `python examples/two_trainings.py [folder]`.
"""  # noqa: D205

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import rnngraph as rg
from rnngraph import nn

STEPS, SYMBOLS, UNITS, BATCH = 30, 4, 20, 32
EVERY, EARLY, LATE = 4, 33, 97


class Training:
    """A layer with a linear readout, trained by Adam; every few steps a trace of the step goes to a folder."""

    def __init__(self, layer: nn.RNN | nn.GRU, folder: Path) -> None:
        """Begin; the folder is made."""
        self.layer, self.head, self.folder = layer, nn.Linear(UNITS, SYMBOLS, seed=1), folder
        self.parameters = [*layer.parameters(), *self.head.parameters()]
        self.moments = [(np.zeros_like(one.value), np.zeros_like(one.value)) for one in self.parameters]
        self.random, self.step, self.loss = np.random.default_rng(0), 0, float("nan")
        folder.mkdir(parents=True, exist_ok=True)

    def until(self, last: int) -> None:
        """Train up to a step."""
        while self.step < last:
            answer = self.random.integers(0, SYMBOLS, BATCH)
            x = 0.1 * self.random.normal(size=(BATCH, STEPS, SYMBOLS))
            x[:, 0] += 2 * np.eye(SYMBOLS)[answer]
            scores = self.head(self.layer(rg.Tape().input(x, "x"))[:, STEPS - 1])
            loss = nn.temporal_softmax_loss(scores.reshape(BATCH, 1, SYMBOLS), answer[:, None])
            self.loss = float(loss.value)
            if self.step % EVERY == 0:
                trace = replace(rg.record(loss, lags=True), training_step=self.step, training_loss=self.loss)
                trace.save(self.folder / f"step-{self.step:09d}.npz")
            self._adam(rg.gradients(loss))

    def _adam(self, gradients: dict[str, np.ndarray]) -> None:
        self.step += 1
        for one, (mean, square) in zip(self.parameters, self.moments, strict=True):
            gradient = gradients[one.name]
            mean += 0.1 * (gradient - mean)
            square += 0.01 * (gradient**2 - square)
            change = mean / (1 - 0.9**self.step) / (np.sqrt(square / (1 - 0.99**self.step)) + 1e-8)
            one.value -= 0.01 * change


def main() -> None:
    """Train both for a while, read what their folders say, and train on to see whether it was so."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    layers: dict[str, nn.RNN | nn.GRU] = {"tanh": nn.RNN(SYMBOLS, UNITS), "gru": nn.GRU(SYMBOLS, UNITS)}
    trainings = {name: Training(layer, folder / name) for name, layer in layers.items()}
    for training in trainings.values():
        training.until(EARLY)
    for name, training in trainings.items():
        print(f"{name}, step {training.step - 1}, loss {training.loss:.2f}: {rg.history(training.folder)}")
    for name, training in trainings.items():
        training.until(LATE)
        print(f"{name}, step {training.step - 1}, loss {training.loss:.2f}")


if __name__ == "__main__":
    main()
