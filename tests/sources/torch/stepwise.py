"""A cell in a loop, its batch, and the gradients of its states by plain autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.sources.torch.truth import Trail, gradients

torch = pytest.importorskip("torch")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


class Own(nn.Module):  # type: ignore[misc, name-defined]
    """A tanh step of a linear layer, whose units have a gain each: the graph keeps that weight itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gain = nn.Linear(D + H, H), nn.Parameter(torch.ones(H))

    def forward(self, x: Any, h: Any) -> Any:
        return (self.gain * self.linear(torch.cat([x, h], 1))).tanh()


class Stepwise(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop; `step` runs one step of it."""

    def __init__(self, cell: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = cell or nn.GRUCell(D, H), nn.Linear(H, 1)
        self.step: Callable[[Any, Any], Any] = lambda x, h: self.cell(x, h)

    def forward(self, x: Any, trail: Trail, h: Any = None) -> Any:
        h = x.new_zeros(N, H) if h is None else h
        for t, one in enumerate(x, len(trail.losses)):
            h = self.step(one, h)
            trail.add(h=h)
            trail.losses[t] = self.head(h).square().sum()
        return h


def data(seed: int = 1) -> Any:
    return torch.randn(T, N, D, generator=torch.Generator().manual_seed(seed)).double()


def truth(trail: Trail) -> Any:
    """Norms of the gradients of all states, from plain autograd at this moment."""
    return np.array([float(one.norm()) for one in gradients(trail.total(), trail.states["h"])])
