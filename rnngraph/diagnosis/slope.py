"""Slopes of lines through few or many points, and what a slope says: plain functions of numbers."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from rnngraph.trace.magnitudes import Floats, Integers

_POINTS = 48  # of which every two give a slope


def theil_sen(x: Floats, y: Floats) -> float:
    """Compute the median slope over all pairs of points, of which there are at least two."""
    if len(x) > _POINTS:
        kept = np.linspace(0, len(x) - 1, _POINTS).round().astype(int)
        x, y = x[kept], y[kept]
    first, second = _every_two(len(x))
    slopes = (y[second] - y[first]) / (x[second] - x[first])
    middle = [(slopes.size - 1) // 2, slopes.size // 2]
    slopes.partition(middle)  # half the time of np.median, which is taken of every loss and sample
    return float(slopes[middle].mean())


@cache
def _every_two(points: int) -> tuple[Integers, Integers]:
    first, second = np.triu_indices(points, k=1)
    return first, second


def weighted_median(values: Floats, weights: Floats) -> float:
    """Compute the value below and above which half of the weight lies; the mean of two where it lies between them.

    Weights are above 0.
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    half = reached[-1] / 2
    low, high = np.searchsorted(reached, half, side="left"), np.searchsorted(reached, half, side="right")
    return float((values[order[low]] + values[order[high]]) / 2)


def half_life(rate: float) -> float | None:
    """Compute the steps in which a gradient halves, from nats a step; None where it does not shrink."""
    return math.log(2) / -rate if rate < 0 and math.isfinite(rate) else None
