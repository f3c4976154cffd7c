"""What is left of the losses after so many steps back, summed as training sums it.

A loss and a sample weigh as much as their gradient does. In: a `Credit`. Out: a `Sums`, in nats by lag, and shares of
who carries it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.credit import Credit, log_sum
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.quantile import quantile

_LIGHT = 0.1  # of the weight of a mean pair


@dataclass(frozen=True, slots=True)
class Sums:
    """Logarithms of sums of norms over (loss, sample) pairs that have a lag; entry 0 is lag 1. NaN without any pair."""

    credit: Credit
    arrived: Floats  # (L,) at the lag
    started: Floats  # (L,) of the same pairs at lag 0
    first: Floats  # (L,) of the same pairs at lag 1
    pairs: Integers  # (L,)
    common: Booleans  # (L,) at least half of the samples that reach any lag reach it: one must not speak for all

    def gain(self, lag: int) -> float:
        """Give ln of what is left at a lag of what there was at lag 0; NaN where there is no pair."""
        return _difference(self.arrived[lag - 1], self.started[lag - 1]) if lag else math.nan

    def gain_from_first(self, lag: int) -> float:
        """Give the same against lag 1: without what happens once, at the readout."""
        return _difference(self.arrived[lag - 1], self.first[lag - 1]) if lag else math.nan

    def spread(self, lag: int) -> tuple[float, float]:
        """Give ln of what is left at a lag of what there was at lag 1, of single pairs: 10 % are below, 10 % above."""
        both = self.credit.at_lags(np.array([1, lag]))
        with np.errstate(invalid="ignore"):
            gains = (both[..., 1] - both[..., 0]).ravel()
        gains[gains == np.inf] = np.nan  # of nothing at lag 1
        low, high = (float(quantile(gains, share, axis=0)) for share in (0.1, 0.9))
        return low, high

    def end_to_end(self) -> Floats:
        """Give, by lag, ln of what is left of what the pairs that have it had at lag 1, (L,).

        Pairs that weigh less than a tenth of a mean pair are set against that tenth: they hardly train.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            base = self._base()
            weight = base - base[self._shortest] - np.log(self._share_of_pairs)
            found = self.arrived - base + np.fmin(weight - math.log(_LIGHT), 0.0)
        return np.where(self.arrived == -np.inf, -np.inf, found)

    def reach(self, epsilon: float) -> int | None:
        """Give the last lag at which so much is left, `end_to_end`; None without any pair.

        Credit may come again: a step may be passed by.
        """
        above = np.flatnonzero(self.end_to_end() / math.log(10) >= math.log10(epsilon))
        return None if not self.longest else int(above[-1]) + 1 if above.size else 0

    def _base(self) -> Floats:
        """Give what all is set against, (L,): lag 1; lag 0 or the best heard lag where nothing is heard at lag 1."""
        known = self.arrived[np.isfinite(self.arrived)]
        other = np.where(np.isfinite(self.started), self.started, known.max(initial=-np.inf))
        return np.where(np.isfinite(self.first), self.first, other)

    @property
    def _shortest(self) -> slice:
        """Where the shortest lag stands, which all pairs have."""
        place = self.longest and int(np.argmax(self.pairs > 0))
        return slice(place, place + 1)

    @property
    def _share_of_pairs(self) -> Floats:
        return np.asarray(self.pairs / self.pairs.max(initial=1))

    @property
    def longest(self) -> int:
        """The longest lag of which there is a pair; 0 if there is none."""
        return int(np.flatnonzero(self.pairs)[-1]) + 1 if self.pairs.any() else 0

    def covered(self, share: float) -> int:
        """Give the longest lag of pairs with this share of all weight, which half of the samples reach; 0 if none."""
        base = self._base()
        with np.errstate(invalid="ignore", over="ignore"):
            weight = np.exp(base - base[self._shortest])
        heavy = np.where(np.isfinite(weight), weight, self._share_of_pairs)
        reached = np.flatnonzero((heavy >= share * (1 - 1e-9)) & self.common)
        return int(reached[-1]) + 1 if reached.size else 0

    def judged_lag(self, asked: int | None, share: float) -> int:
        """Give the longest lag up to the one that was asked for of which there is a pair, or else the one covered."""
        if asked is None:
            return self.covered(share)
        reached = np.flatnonzero(self.pairs[:asked])
        return int(reached[-1]) + 1 if reached.size else 0

    def participation(self, lag: int) -> tuple[float, float]:
        """Give which share of the losses (by weight, at lag 1) and of the samples (at the lag) takes part.

        `(Σq)² / Σq²` over how many there are: 1 where all carry the same, 1 / n where one of n does.
        """
        both = self.credit.at_lags(np.array([1, max(lag, 1)]))
        return _participation(log_sum(both[..., 0], 0)), _participation(log_sum(both[..., 1], 1))


def sums_of(credit: Credit) -> Sums:
    """Sum a lag matrix over losses and samples."""
    samples, _, steps = credit.log.shape
    arrived, started, first = np.full((3, steps - 1), np.nan)
    pairs, reach = np.zeros(steps - 1, np.int64), np.zeros((samples, steps - 1), bool)
    base = credit.at_lags(np.array([0, 1]))
    for part, logs in credit.by_lag():
        there = ~np.isnan(logs)
        reach[:, part] = there.any(axis=1)
        pairs[part] = there.sum(axis=(0, 1))
        arrived[part] = log_sum(logs, (0, 1))
        started[part], first[part] = (log_sum(np.where(there, base[..., k, None], np.nan), (0, 1)) for k in (0, 1))
    common = 2 * reach.sum(axis=0) >= reach.any(axis=1).sum()
    return Sums(credit, arrived, started, first, pairs, common)


def _participation(logs: Floats) -> float:
    known = logs[~np.isnan(logs)]
    if not known.size or not np.isfinite(known.max()):
        return math.nan
    with np.errstate(under="ignore"):
        shares = np.exp(known - known.max())
    return float(shares.sum() ** 2 / (shares**2).sum() / known.size)


def _difference(one: float, other: float) -> float:
    if one == -math.inf:
        return -math.inf
    return float(one - other) if math.isfinite(other) else math.nan
