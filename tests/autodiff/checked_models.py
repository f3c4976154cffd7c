"""A small model with a loss, and a step whose rule is wrong, for the tests of the gradient check."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.autodiff.node import Node, Op
from rnngraph.nn import cells


def model(layer: Any, time: int, *, dtype: Any = np.float64, seed: int = 0) -> rg.Tensor:
    generator = np.random.default_rng(seed)
    tape = rg.Tape()
    x = tape.input(generator.normal(size=(3, time, 4)).astype(dtype))
    head = rg.nn.Linear(layer.hidden_size * len(layer.directions), 5, seed=1, dtype=dtype)
    mask = generator.random((3, time)) > 0.2
    mask[0, 0] = True
    return rg.nn.temporal_softmax_loss(head(layer(x)), generator.integers(0, 5, size=(3, time)), mask)


def broken_tanh_step(factor: float) -> Op:
    def vjp(g: np.ndarray[Any, Any], node: Node) -> Any:
        assert cells.RNN_TANH_STEP.vjp is not None
        to_x, to_h, to_weight = cells.RNN_TANH_STEP.vjp(g, node)
        return to_x, np.asarray(to_h) * factor, to_weight

    return dataclasses.replace(cells.RNN_TANH_STEP, vjp=vjp)
