"""The affine map of all timesteps at once: the operation of a linear layer, and of what a recurrence is fed."""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.block.columns import PROJECT as SHOWN
from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer
from rnngraph.autodiff.node import Node, Op
from rnngraph.errors import InputError


def _affine(x: Array, weight: Array, bias: Array) -> Array:
    if x.shape[-1] != weight.shape[0]:
        raise InputError(
            f"the input has shape {x.shape} and the weight {weight.shape}; "
            f"the input's last size must be {weight.shape[0]}."
        )
    return np.asarray(x @ weight + bias)


def _affine_vjp(g: Array, node: Node) -> tuple[Contribution, ...]:
    x, weight, _ = node.arguments
    to_x = g @ weight.T
    if x.ndim == 3:  # the time axis goes first and stays apart
        x, g = x.swapaxes(0, 1), g.swapaxes(-3, -2)
    return to_x, Outer(x, g), BatchSum(g)


LINEAR = Op("linear", "x·W + b", _affine, _affine_vjp, "y[t] = x[t]·W + b", stepwise="first")
PROJECT = Op(SHOWN.name, SHOWN.label, _affine, _affine_vjp, SHOWN.formula, SHOWN.role, "first")
