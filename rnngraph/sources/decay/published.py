"""Hold the half-lives of a layer to a published start.

In: half-lives and a `Start`. Out: the quantiles at which they differ, by more than a factor and by more than chance.

Chance: of n independent draws, the share below any value is off by more than √(ln(2/p) / 2n) with probability p at most
(Dvoretzky, Kiefer and Wolfowitz, with Massart's constant). Channels that share a head's rate are not independent, so n
is the number of heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnngraph.sources.decay.family import Start
from rnngraph.trace.decay import SHARES, Five, five_numbers
from rnngraph.trace.magnitudes import Floats

THRESHOLDS = {"no_memory": 1.0, "tolerance": 0.01, "factor": 2.0, "chance": 1e-3}
_INNER = (1, 2, 3)  # 10, 50 and 90 %: the ends of a sample depend on its size


@dataclass(frozen=True, slots=True)
class Difference:
    """A quantile that differs, in steps; of a start with two ends, `published` is the nearer one."""

    share: float
    found: float
    published: float


def differing(half_lives: Floats, start: Start) -> list[Difference]:
    """Find the quantiles at which half-lives differ from the start."""
    quantiles = five_numbers(half_lives)
    margin = math.sqrt(math.log(2 / THRESHOLDS["chance"]) / (2 * half_lives.shape[0]))
    found = []
    for place in _INNER:
        value, low, high = quantiles[place], start.low[place], start.high[place]
        nearer, five = (low, start.low) if value < low else (high, start.high)
        factor = THRESHOLDS["factor"]
        if not (value * factor < low or value > high * factor):
            continue
        outside = value * factor < five[0] or value > five[-1] * factor  # which no draw of the start can give
        if outside or abs(SHARES[place] - _share_below(value, five)) > margin:
            found.append(Difference(SHARES[place], value, nearer))
    return found


def _share_below(value: float, five: Five) -> float:
    """Give the share of the published start that is below a value, between its quantiles by their logarithms."""
    if value <= five[0]:
        return 0.0
    if value >= five[-1]:
        return 1.0
    return float(np.interp(math.log(value), np.log(five), SHARES))
