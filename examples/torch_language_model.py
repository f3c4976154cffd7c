"""A PyTorch language model, letter by letter, on a real text: how far back does it learn, before and after training?

The text is Python's language reference, which every interpreter carries. The model knows nothing of `rnngraph`.
Run `python examples/torch_language_model.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import nn

import rnngraph as rg

TEXT = " ".join(" ".join(topics.values()).split())[:100_000]
LETTERS = sorted(set(TEXT))


class LanguageModel(nn.Module):  # type: ignore[misc]
    """Letters in, scores of the next letter out."""

    def __init__(self, units: int = 64) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 32)
        self.recurrent = nn.LSTM(32, units, batch_first=True)
        self.scores = nn.Linear(units, len(LETTERS))

    def forward(self, letters: torch.Tensor) -> Any:
        """Score every next letter."""
        return self.scores(self.recurrent(self.embedding(letters))[0])


def batch(size: int = 16, steps: int = 48) -> torch.Tensor:
    """Cut random pieces out of the text, `(size, steps + 1)`."""
    starts = torch.randint(0, len(TEXT) - steps - 1, (size,)).tolist()
    number = {letter: place for place, letter in enumerate(LETTERS)}
    return torch.tensor([[number[letter] for letter in TEXT[start : start + steps + 1]] for start in starts])


def loss_of(model: nn.Module, letters: torch.Tensor) -> torch.Tensor:
    """Give the cross-entropy of every next letter."""
    return nn.functional.cross_entropy(model(letters[:, :-1]).transpose(1, 2), letters[:, 1:])


def watched(model: nn.Module, letters: torch.Tensor) -> rg.Trace:
    """Run one step and trace it: all that has to be added to a training script."""
    with rg.torch.watch(model) as watch:
        loss_of(model, letters).backward()
    model.zero_grad()
    return watch.trace(labels=[LETTERS[letter] for letter in letters[0, :-1]])


def main() -> None:
    """Trace, train a little, trace again."""
    torch.manual_seed(0)
    model, letters = LanguageModel(), batch()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(61):
        if step % 60 == 0:
            trace = watched(model, letters)
            print(f"--- after {step} steps of training\n{rg.diagnose(trace)}\n")
        optimiser.zero_grad()
        loss = loss_of(model, batch())
        loss.backward()
        optimiser.step()
    print(f"loss {loss.item():.2f}; {trace.checks[-1]}")
    if len(sys.argv) > 1:
        print("wrote", rg.render(trace, sys.argv[1]))


if __name__ == "__main__":
    main()
