"""The arithmetic of gates, which gated cells share."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.autodiff.cell import Weights
from rnngraph.autodiff.contribution import Array

SATURATED = 0.0125  # s(1 - s) of a sigmoid below 5 % of its largest, 1/4
# A sigmoid below the first or as near to 1, and a tanh above the second or below its negative, have so small a one.
_SHUT, _FULL = (1 - math.sqrt(1 - 4 * SATURATED)) / 2, math.sqrt(0.95)


def negated(weights: Weights, sigmoids: int) -> dict[str, Array]:
    """Negate the columns that lead to sigmoids, so many, which come first; what leads to no gate is as it is."""
    sign = np.ones_like(weights["b"])
    sign[:sigmoids] = -1
    return {name: one * sign if one.shape[-1] == len(sign) else one for name, one in weights.items()}


def blocks(gates: Array, hidden: int) -> list[Array]:
    """Take the blocks of columns apart, (..., H) each."""
    return [gates[..., first : first + hidden] for first in range(0, gates.shape[-1], hidden)]


def sigmoid_of_negated(a: Array, room: Array, out: Array, one: Array | int = 1) -> None:
    """Compute 1 / (1 + e^a): the sigmoid of -a, without loss of digits at either end.

    `room` has no gaps between its rows: NumPy copies what has, at every step of this. `one` is 1, as an array of a's
    dtype where many are computed: NumPy takes long to convert a number. The three arrays may be the same.
    """
    np.exp(a, room)
    np.add(room, one, room)
    np.reciprocal(room, out)


def saturated(gates: Array, sigmoids: int) -> Array:
    """Say where the derivative is small of gates of which so many columns are sigmoids and the others tanh."""
    found: Array = gates < _SHUT
    found |= gates > 1 - _SHUT
    found[..., sigmoids:] = np.abs(gates[..., sigmoids:]) > _FULL
    return found
