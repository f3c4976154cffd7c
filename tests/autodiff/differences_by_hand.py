"""Central differences written out element by element, for the tests of the rules. Nothing of the package is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def differences(function: Callable[..., Array], arguments: list[Array], position: int, cotangent: Array) -> Array:
    """Give the gradient of `sum(cotangent * function(*arguments))` with respect to one argument."""
    point = arguments[position]
    gradient = np.zeros_like(point)
    step = 1e-5
    for place in np.ndindex(point.shape):
        values = []
        for sign in (1, -1, 2, -2):
            moved = point.copy()
            moved[place] += sign * step
            replaced = [*arguments[:position], moved, *arguments[position + 1 :]]
            values.append(float((cotangent * function(*replaced)).sum()))
        gradient[place] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * step)
    return gradient
