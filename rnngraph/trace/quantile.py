"""Quantiles with linear interpolation that take an infinity as a number."""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.trace.magnitudes import Floats


def quantile(values: Floats, share: float, *, axis: int) -> Floats:
    """Compute a quantile that takes infinities as numbers and leaves NaN out; NaN where nothing else is there."""
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)
    return of_ordered(ordered, share, count=(~np.isnan(ordered)).sum(axis=-1))


def of_ordered(ordered: Floats, share: float, *, count: Array) -> Floats:
    """Compute a quantile of the first `count` elements of every row; NaN of none."""
    if not ordered.shape[-1]:
        return np.full(ordered.shape[:-1], np.nan)
    position = share * np.maximum(count - 1, 0)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below = np.take_along_axis(ordered, low[..., None], axis=-1)[..., 0]
    above = np.take_along_axis(ordered, high[..., None], axis=-1)[..., 0]
    weight = position - low
    with np.errstate(invalid="ignore"):
        between = below + weight * (above - below)
    alike = (weight == 0) | (below == above) | (below == -np.inf)
    return np.where(count == 0, np.nan, np.where(alike, below, between))
