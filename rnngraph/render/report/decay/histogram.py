"""Half-lives on a logarithmic axis that all layers share: where it ends, its ticks, and how many fall where.

In: a `DecayReport`. Out: plain numbers, for the terminal and for the picture.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.graph.style.palette import Scale
from rnngraph.trace.decay import DecayReport
from rnngraph.trace.magnitudes import Floats, Integers

NARROWEST, WIDEST = -3, 7  # decades of steps; what lies beyond is shown at the ends


def place_of(half_life: float, axis: Scale) -> float:
    """Place a half-life between 0, the left end, and 1, the right end; beyond them it is held to them."""
    return axis.share(math.log10(half_life)) if half_life > 0 else 0.0


def decades_of(axis: Scale, most: int) -> list[int]:
    """Choose whole decades to be written, at most so many."""
    low, high = int(axis.low), int(axis.high)
    return list(range(low, high + 1, max(1, math.ceil((high - low) / max(most - 1, 1)))))


def axis_of(report: DecayReport) -> Scale:
    """Span, in whole decades of steps, the half-lives of all layers, those of a batch and the published starts."""
    parts = [one.half_lives.ravel() for one in report.layers]
    parts += [one.live.half_lives.ravel() for one in report.layers if one.live and one.live.half_lives is not None]
    parts += [np.array([one.published[0][1], one.published[1][3]]) for one in report.layers if one.published]
    every = np.concatenate([*parts, np.empty(0)])
    known = every[np.isfinite(every) & (every > 0)]
    if not known.size:
        return Scale(-1, 3)
    low, high = math.floor(math.log10(known.min())), math.ceil(math.log10(known.max()))
    low, high = max(low, NARROWEST), min(high, WIDEST)
    low = min(low, WIDEST - 1)
    return Scale(low, max(high, low + 1))


def counts(half_lives: Floats, axis: Scale, bins: int) -> Integers:
    """Count the half-lives in each of `bins` equal parts of the axis; NaN is left out."""
    known = half_lives[~np.isnan(half_lives)].ravel()
    with np.errstate(divide="ignore"):
        shares = (np.log10(known) - axis.low) / (axis.high - axis.low)
    places = np.clip(np.nan_to_num(shares, posinf=1.0, neginf=0.0) * bins, 0, bins - 1).astype(int)
    return np.bincount(places, minlength=bins).astype(np.int64)


def decade_text(decade: int) -> str:
    """Write a power of ten as a person would: 0.1, 1, 10, 1k, 1M."""
    if decade < 0:
        return f"{10.0**decade:g}"
    for start, letter in ((6, "M"), (3, "k")):
        if decade >= start:
            return f"{10 ** (decade - start)}{letter}"
    return str(10**decade)
