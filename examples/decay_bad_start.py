"""Find a bad start before a training is wasted: the decays of a linear recurrence, read before the first step.

A wrapper fills every bias with 1 after the layer has drawn its own, as happened in more than one library. Nothing
fails; `rnngraph` tells the two starts apart before the first step, and a short training on recall confirms it.
Run `python examples/decay_bad_start.py [picture.svg]`.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import nn

import rnngraph as rg

torch.set_num_threads(1)  # as fast as any number for matrices of this size
HEADS, WIDTH, SYMBOLS, STEPS, LEARNING = 8, 4, 4, 24, 100


class Mixer(nn.Module):  # type: ignore[misc]
    """A gated linear recurrence by head, with the gate of Mamba-2: s ← decay · s + v, y = W s."""

    def __init__(self) -> None:
        """Draw the decays as the authors of Mamba-2 do."""
        super().__init__()
        dt = torch.empty(HEADS).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.A_log = nn.Parameter(torch.empty(HEADS).uniform_(1, 16).log())
        self.dt_bias = nn.Parameter(dt.expm1().log())
        self.in_proj = nn.Linear(32, HEADS * WIDTH + HEADS, bias=False)
        self.out_proj = nn.Linear(HEADS * WIDTH, 32, bias=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Mix over time, (batch, time, features) in and out; all steps at once."""
        v, a = self.in_proj(u).split([HEADS * WIDTH, HEADS], dim=-1)
        rate = self.A_log.exp() * nn.functional.softplus(a + self.dt_bias)
        total = rate.cumsum(dim=1).transpose(1, 2)  # (batch, heads, time)
        kept = (total[..., None, :] - total[..., None]).tril().exp().tril()
        return self.out_proj((kept @ v.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)).transpose(1, 2).flatten(-2))


def model(*, wrapped: bool) -> nn.Module:
    """Make a model of one layer; the wrapper sets the biases again, and with them the decays."""
    torch.manual_seed(1)
    made = nn.Sequential(nn.Embedding(2 * SYMBOLS, 32), Mixer(), nn.Linear(32, SYMBOLS))
    if wrapped:
        with torch.no_grad():
            made[1].dt_bias.fill_(1.0)
    return made


def recall(batch: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Ask for the first symbol after other ones, (batch, time) and (batch,)."""
    first = torch.randint(0, SYMBOLS, (batch,))
    return torch.cat([first[:, None], torch.randint(SYMBOLS, 2 * SYMBOLS, (batch, STEPS))], dim=1), first


def accuracy_after_training(network: nn.Module) -> float:
    """Train, and give the share of right answers."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(LEARNING):
        tokens, first = recall()
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(tokens)[:, -1], first).backward()
        optimiser.step()
    tokens, first = recall(512)
    return float((network(tokens)[:, -1].argmax(-1) == first).float().mean())


for wrapped in (False, True):
    report = rg.decay(model(wrapped=wrapped), config={"model_type": "mamba2"}, fresh=True, context=STEPS)
    print(f"{'wrapped' if wrapped else 'as published'}\n{report}")
    right = accuracy_after_training(model(wrapped=wrapped))
    print(f"after {LEARNING} steps of training {right:.0%} are right; {1 / SYMBOLS:.0%} would be by chance\n")
if len(sys.argv) > 1:
    print("wrote", rg.render(report, sys.argv[1]))
