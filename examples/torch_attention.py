"""A translator with attention and input feeding: both recurrences in one trace, and how far a loss reaches in each.

The task: say a sequence of digits backwards. Run `python examples/torch_attention.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

import rnngraph as rg

LENGTH, DIGITS, UNITS = 8, 10, 32


class Translator(nn.Module):  # type: ignore[misc]
    """A fused encoder; a cell that attends to it, and is fed what it attended to."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(DIGITS + 1, UNITS)
        self.encoder = nn.GRU(UNITS, UNITS, batch_first=True)
        self.cell = nn.GRUCell(2 * UNITS, UNITS)
        self.mix, self.scores = nn.Linear(2 * UNITS, UNITS), nn.Linear(UNITS, DIGITS)

    def forward(self, source: Any, target: Any) -> Any:
        """Score every digit of the target, (N, LENGTH, DIGITS), given those before it."""
        memory, last = self.encoder(self.embedding(source))
        start = torch.full_like(target[:, :1], DIGITS)
        h, fed, found = last[0], torch.zeros_like(last[0]), []
        for word in self.embedding(torch.cat([start, target[:, :-1]], 1)).unbind(1):
            h = self.cell(torch.cat([word, fed], 1), h)
            weights = (memory @ h[:, :, None]).softmax(1)
            fed = self.mix(torch.cat([h, (weights * memory).sum(1)], 1)).tanh()
            found.append(self.scores(fed))
        return torch.stack(found, 1)


def main() -> None:
    """Train a little, and trace the last step."""
    torch.manual_seed(0)
    model = Translator()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    with rg.torch.watch(model) as watch:
        for _ in range(60):
            source = torch.randint(0, DIGITS, (32, LENGTH))
            target = source.flip(1)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(source, target).flatten(0, 1), target.flatten())
            loss.backward()
            optimiser.step()
    print(f"loss {loss.item():.3f}")
    print(watch)
    trace = watch.trace()
    for lag in trace.lags:
        last = np.nanmedian(lag.log[:, -1, 1:], axis=0) / np.log(10)
        print(f"{lag.state}: the last word's loss at its steps, log10: {np.round(last, 1).tolist()}")
    if len(sys.argv) > 1:
        rg.render(trace, sys.argv[1])


if __name__ == "__main__":
    main()
