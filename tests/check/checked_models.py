"""A small model with a loss, and a cell whose rule is wrong, for the tests of the gradient check."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.nn.cells.tanh_relu import Tanh
from rnngraph.nn.recurrent import Recurrent


def model(layer: Any, time: int, *, dtype: Any = np.float64, seed: int = 0) -> rg.Tensor:
    generator = np.random.default_rng(seed)
    tape = rg.Tape()
    x = tape.input(generator.normal(size=(3, time, 4)).astype(dtype))
    head = rg.nn.Linear(layer.hidden_size * len(layer.directions), 5, seed=1, dtype=dtype)
    mask = generator.random((3, time)) > 0.2
    mask[0, 0] = True
    return rg.nn.temporal_softmax_loss(head(layer(x)), generator.integers(0, 5, size=(3, time)), mask)


class BrokenTanh(Tanh):
    """A cell whose gradient of the state before is wrong by a factor, at all steps or at one place."""

    def __init__(self, factor: float, place: int | None = None) -> None:
        self.factor, self.place = factor, place

    def back(self, factors: Any, p: int | slice, g: Any, da: Any, weight: Any, out: Any) -> None:
        super().back(factors, p, g, da, weight, out)
        if self.place in (None, p):
            out[0][...] *= self.factor


def broken(factor: float, *, hidden: int = 6, place: int | None = None, **options: Any) -> Recurrent:
    return Recurrent(BrokenTanh(factor, place), 4, hidden, name="rnn", **options)
