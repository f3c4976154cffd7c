"""Handwritten digits read pixel by pixel, 64 steps, by three PyTorch classifiers: which can learn from the first pixel?

Only the last step is asked for the digit, so whatever the early pixels learn was carried all the way back.
Run `python examples/torch_digits.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

import rnngraph as rg
from rnngraph.sources.digits import load_digits


class Classifier(nn.Module):  # type: ignore[misc]
    """Pixels in, one a step; scores of the ten digits out, from the last state."""

    def __init__(self, recurrent: nn.Module, units: int) -> None:
        """Put the scores on top of a recurrent layer."""
        super().__init__()
        self.recurrent = recurrent
        self.scores = nn.Linear(units, 10)

    def forward(self, pixels: torch.Tensor) -> Any:
        """Score the digits."""
        return self.scores(self.recurrent(pixels)[0][:, -1])


def classifiers(units: int = 48) -> dict[str, Classifier]:
    """Make a plain RNN, an LSTM as it comes, and an LSTM that is told to remember."""
    layers = {"RNN": nn.RNN, "LSTM": nn.LSTM, "LSTM, forget bias 4": nn.LSTM}
    models = {name: Classifier(layer(1, units, batch_first=True), units) for name, layer in layers.items()}
    with torch.no_grad():
        models["LSTM, forget bias 4"].recurrent.bias_ih_l0[units : 2 * units] = 4.0
    return models


def main() -> None:
    """Trace one step of each and say how much of the gradient reaches the first pixel."""
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.features()[:32, :, None], dtype=torch.float32)
    labels = torch.tensor(digits.digits[:32], dtype=torch.long)
    for name, model in classifiers().items():
        with rg.torch.watch(model) as watch:
            nn.functional.cross_entropy(model(pixels), labels).backward()
        trace = watch.trace()
        verdict = rg.diagnose(trace)
        print(f"{name}: {verdict.verdict}, {verdict.decades:.1f} decades at lag {verdict.horizon}")
        print(f"  1 % or more of a gradient is left to lag {verdict.reach}")
    if len(sys.argv) > 1:
        print("wrote", rg.render(trace, sys.argv[1]))


if __name__ == "__main__":
    main()
