"""A network whose gradient explodes, trained without and with the repairs that its diagnosis advises.

The clip keeps one learning rate usable where it is infinite without; scaling the recurrent weight as well removes the
cause. Run `python examples/repair_exploding.py`.
"""

from __future__ import annotations

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.trace.change import SCALE

T, N, D, H, RATE, STEPS = 30, 8, 4, 24, 1.0, 200


def network(scale: float = 1.0) -> tuple[nn.RNN, nn.Linear]:
    """Make the layer, with its recurrent weight times `scale`, and the readout."""
    return nn.RNN(D, H, init="orthogonal", gain=2.5 * scale), nn.Linear(H, 1)


def loss_of(layer: nn.RNN, readout: nn.Linear, rng: np.random.Generator) -> rg.Tensor:
    """Record the loss of one batch: say the running mean of the first input."""
    x = 0.3 * rng.normal(size=(N, T, D))
    target = x[..., :1].cumsum(axis=1) / np.arange(1, T + 1)[:, None]
    error = readout(layer(rg.Tape().input(x))) - target
    return (error * error).mean()


def diagnosed(layer: nn.RNN, readout: nn.Linear) -> Diagnosis:
    """Diagnose on a batch of its own, and try remedies on it."""
    loss = loss_of(layer, readout, np.random.default_rng(9))
    return rg.diagnose(rg.record(loss, lags=True), trial=rg.trial(loss))


def train(name: str, *, clip: float = np.inf, scale: float = 1.0) -> None:
    """Train by plain gradient descent; print the first and last losses, and the verdict before and after."""
    layer, readout = network(scale)
    before = diagnosed(layer, readout).verdict
    rng, losses = np.random.default_rng(0), []
    for _ in range(STEPS):
        loss = loss_of(layer, readout, rng)
        losses.append(float(loss.value))
        gradients = rg.gradients(loss)
        parameters = [*layer.parameters(), *readout.parameters()]
        norm = np.sqrt(sum(float((gradients[one.name] ** 2).sum()) for one in parameters))
        for one in parameters:
            one.value = one.value - RATE * min(1.0, clip / norm) * gradients[one.name]
    after = diagnosed(layer, readout).verdict
    print(f"{name:28} loss {np.mean(losses[:5]):8.3g} -> {np.mean(losses[-5:]):.3g}; verdict {before} -> {after}")


def main() -> None:
    """Diagnose, then train at one learning rate: as it is, clipped as advised, and with the weight scaled as well."""
    report = diagnosed(*network())
    print(report, end="\n\n")
    finding = next(one for one in report.findings if one.rule == "exploding")
    clip = float(finding.evidence["clip_norm"] or 1)
    with np.errstate(all="ignore"):  # the first attempt overflows, and that is what it shows
        train("as it is")
    train(f"clipped at {clip:.2g}", clip=clip)
    scale = next(one.changes[0].number for one in report.tried if one.helps and one.changes[0].kind == SCALE)
    train(f"clipped, weight times {scale:.2f}", clip=clip, scale=scale)


if __name__ == "__main__":
    main()
