"""What is left of every loss at every step, a matrix a row of the network, and the same by lag as quantiles.

In: the losses of a trace. Out: a `LagRow` a state, or a layer where there are several.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.one_loss import Losses, Walk
from rnngraph.graph.style.left import end_of
from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import REVERSE
from rnngraph.trace.quantile import quantile


@dataclass(frozen=True)
class LagRow:
    """One row of the network, seen from all of its losses; decades, NaN where nothing was walked."""

    name: str
    reverse: bool
    losses: Integers  # (S,) timesteps, ascending
    matrix: Floats  # (S, T) by the step at which a loss is felt
    last: Integers  # (S,) the last timestep, walking back, at which 1 % is left; -1: there is none, or it grows ×100
    grown: Integers  # (S,) the first at which it is ×100; -1 where there is none
    band: Floats  # (2, L) by lag: 10 and 90 % of the losses
    walks: tuple[Walk, ...]  # (S,)

    @property
    def timesteps(self) -> int:
        """The number of steps of its recurrence."""
        return int(self.matrix.shape[1])

    def seen_from(self, timestep: int) -> Walk | None:
        """Give the walk of one loss; None where it has none in this row."""
        at = np.flatnonzero(self.losses == timestep)
        return self.walks[int(at[0])] if at.size else None


def lag_rows(losses: Losses, clock: int, *, split: bool | None = None) -> list[LagRow]:
    """Walk back from every loss that was measured on a clock; the topmost row first, a row a state where `split`."""
    walks: dict[str, list[tuple[int, Walk]]] = {}
    for number in [place for place, (own, _) in enumerate(losses.timesteps) if own == clock]:
        timestep = losses.timesteps[number][1]
        for walk in losses.seen_from(number, split=split).downwards:
            walks.setdefault(walk.name, []).append((timestep, walk))
    return [_row(name, sorted(found, key=lambda one: one[0])) for name, found in walks.items()]


def _row(name: str, found: list[tuple[int, Walk]]) -> LagRow:
    recurrence = found[0][1].recurrence
    matrix = np.full((len(found), recurrence.timesteps), np.nan)
    last, grown = np.full((2, len(found)), -1)
    longest = max(int(walk.lags[-1]) for _, walk in found) + 1
    by_lag = np.full((len(found), longest), np.nan)
    for number, (_, walk) in enumerate(found):
        matrix[number] = walk.over_time()
        by_lag[number, walk.lags] = walk.decades
        what, place = end_of(walk.decades, cut=walk.cut)
        if what != "nothing":
            (grown if what == "explodes" else last)[number] = walk.steps[place]
    band = np.stack([quantile(by_lag, share, axis=0) for share in (0.1, 0.9)])
    losses = np.array([timestep for timestep, _ in found])
    reverse, walks = recurrence.direction == REVERSE, tuple([walk for _, walk in found])
    return LagRow(name, reverse, losses, matrix, last, grown, band, walks)


def middle(values: Floats) -> float:
    """Give the middle one of the values that are known; NaN where none is."""
    known = np.sort(values[~np.isnan(values)], axis=None)
    return float(known[len(known) // 2]) if known.size else math.nan
