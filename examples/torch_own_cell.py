"""A cell of one's own in PyTorch, watched as it is: its states, its gates and its operations are read off the graph.

The cell is an LSTM with layer normalisation (Ba et al., 2016). Run `python examples/torch_own_cell.py [picture.svg]`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

import rnngraph as rg

STEPS, UNITS = 20, 24


class NormalisedLSTM(nn.Module):  # type: ignore[misc]
    """One step; the state is a pair of tensors."""

    def __init__(self, inputs: int, units: int) -> None:
        """Make the weights."""
        super().__init__()
        self.gates = nn.Linear(inputs + units, 4 * units)
        self.norm, self.units = nn.LayerNorm(4 * units), units

    def forward(self, x: Any, state: Any = None) -> Any:
        """Give the new h and c."""
        h, c = state or (x.new_zeros(len(x), self.units), x.new_zeros(len(x), self.units))
        i, f, g, o = self.norm(self.gates(torch.cat([x, h], 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


def main() -> None:
    """Run the cell once, and say what was found in it."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"cell": NormalisedLSTM(3, UNITS), "head": nn.Linear(UNITS, 1)})
    with rg.torch.watch(model) as watch:
        state: Any = None
        for x in torch.randn(STEPS, 16, 3):
            state = model["cell"](x, state)
        model["head"](state[0]).square().mean().backward()
    print(watch)
    trace = watch.trace()
    for gate in trace.gates:
        print(f"{gate.name}: {np.mean(gate.mean):.2f} open, {100 * np.mean(gate.saturated):.0f} % saturated")
    for lag in trace.lags:
        fall = np.diff(np.median(lag.log[:, -1, 1:], axis=0)).mean() / np.log(10)
        print(f"{lag.state}: the loss falls by {fall:.2f} decades a step on its way back")
    if len(sys.argv) > 1:
        rg.render(trace, sys.argv[1], detail="op", steps=3)


if __name__ == "__main__":
    main()
