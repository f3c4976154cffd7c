"""A training loop that leaves a trace of every 20th step in a folder, and how the gradient's reach changes meanwhile.

The task: say at the end which of two symbols stood at the start. Run `python examples/torch_every.py [folder]`.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import rnngraph as rg

STEPS, UNITS = 25, 32


def batch(size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Make noise, `(size, STEPS, 1)`, whose first value is the answer's sign."""
    x = 0.2 * torch.randn(size, STEPS, 1)
    answer = torch.randint(0, 2, (size,))
    x[:, 0, 0] = 2.0 * answer - 1.0
    return x, answer


def main() -> None:
    """Train, tracing; then read the traces back."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"memory": nn.GRU(1, UNITS, batch_first=True), "answer": nn.Linear(UNITS, 2)})
    with torch.no_grad():  # update gates that start half closed keep the first step in reach
        model["memory"].bias_ih_l0[UNITS : 2 * UNITS] = 1.0
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    folder = sys.argv[1] if len(sys.argv) > 1 else "traces"
    every = rg.torch.watch(model).every(20, folder, keep=10, megabytes=20)
    for _ in range(101):
        optimiser.zero_grad()
        with every:
            x, answer = batch()
            loss = nn.functional.cross_entropy(model["answer"](model["memory"](x)[0][:, -1]), answer)
            loss.backward()
        optimiser.step()
    print(f"loss {loss.item():.3f}; {len(every.files)} traces in {folder}")
    for path in every.files:
        diagnosis = rg.diagnose(rg.Trace.load(path))
        decades = f"{diagnosis.decades:+.1f} decades at lag {diagnosis.horizon}"
        print(f"{path.name}: {decades}, {diagnosis.verdict}")


if __name__ == "__main__":
    main()
