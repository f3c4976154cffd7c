"""A training that learns and one that does not, and which is which before their losses tell: both are monitored.

The task: say at the end which of two symbols stood at the start. Two GRUs train on it alike; only one starts with
update gates that keep most of the state, so that the first step is in reach.
Run `python examples/torch_monitor.py [folder]`.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import rnngraph as rg

STEPS, UNITS, BATCH, TRAINING = 50, 32, 32, 151


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Make noise, `(BATCH, STEPS, 1)`, whose first value is the answer's sign."""
    x = 0.2 * torch.randn(BATCH, STEPS, 1)
    answer = torch.randint(0, 2, (BATCH,))
    x[:, 0, 0] = 2.0 * answer - 1.0
    return x, answer


def train(update_bias: float, folder: str) -> list[tuple[int, float, dict[str, float]]]:
    """Train one network; give step, loss and what the monitor told, of every measurement."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"memory": nn.GRU(1, UNITS, batch_first=True), "answer": nn.Linear(UNITS, 2)})
    with torch.no_grad():
        model["memory"].bias_ih_l0[UNITS : 2 * UNITS] = update_bias
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    told: list[tuple[int, float, dict[str, float]]] = []
    losses: list[float] = []

    def log(values: dict[str, float], step: int) -> None:
        told.append((step, losses[step], values))

    with rg.torch.monitor(model, 25, folder, horizon=STEPS - 1, log=log):
        for _ in range(TRAINING):
            x, answer = batch()
            loss = nn.functional.cross_entropy(model["answer"](model["memory"](x)[0][:, -1]), answer)
            losses.append(loss.item())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return told


def main() -> None:
    """Train both, and show how far the gradient reached meanwhile."""
    torch.set_num_threads(1)  # the networks are small
    folder = sys.argv[1] if len(sys.argv) > 1 else "runs"
    for name, update_bias in (("learns", 2.0), ("does_not", 0.0)):
        print(f"{name}: a loss of 0.693 is chance")
        for step, loss, values in train(update_bias, f"{folder}/{name}"):
            reach, gain = (values[f"rnngraph/memory/{key}"] for key in ("reach", "gain"))
            print(
                f"  step {step:3}: loss {loss:.3f}, reaches lag {reach:2.0f}, {gain:+6.1f} decades at lag {STEPS - 1}"
            )
    print(f"What became of the reach: rnngraph history {folder}/learns, and rnngraph history {folder}/does_not")


if __name__ == "__main__":
    main()
