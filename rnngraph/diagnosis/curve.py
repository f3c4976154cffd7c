"""The lag curve: what is left of a gradient after so many steps back, over all losses and samples.

In: the `LagTrace`s of states that are carried together. Out: a `LagCurve` in nats (natural logarithms of gains),
and the few numbers that sum it up. A lag counts steps that were really taken: copies over padding do not count, and
no pair crosses a cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import REVERSE, LagTrace
from rnngraph.trace.quantile import quantile

LN10 = math.log(10)  # nats in a decade
_SLOPE_POINTS, _SLOPE_PAIRS = 48, 512  # Theil-Sen looks at every two points of every (loss, sample) pair
_STILL = 1e-9  # nats a step that are rounding


@dataclass(frozen=True, slots=True)
class LagCurve:
    """Gains by lag, in nats; entry 0 is lag 1. -inf is an exact zero, NaN where there is no pair.

    Where losses were no longer followed, `floor` stands for every gain that is at most so much.
    """

    median: Floats  # (L,) over samples, of the medians over each sample's losses
    low: Floats  # (L,) 10th percentile over (loss, sample) pairs
    high: Floats  # (L,) 90th
    pairs: Integers  # (L,)
    seeds: int  # (loss, sample) pairs in all
    samples: Integers  # (B,) sample indices
    sample_median: Floats  # (B, L)
    sample_high: Floats  # (B, L) 90th percentile over the sample's losses
    nonfinite: int  # entries of the lag matrix that are not finite
    floor: float  # nats; -inf where every loss was followed to its end
    gains: Floats  # (pairs, L) of every loss in every sample

    @property
    def floor_decades(self) -> float | None:
        """The floor in decades; None where every loss was followed to its end."""
        return self.floor / LN10 if math.isfinite(self.floor) else None

    @property
    def longest(self) -> int:
        """The longest lag of which there is a pair; 0 if there is none."""
        return int(np.flatnonzero(self.pairs)[-1]) + 1 if self.pairs.any() else 0

    def covered(self, share: float) -> int:
        """Give the longest lag that this share of the pairs and half of the samples reach; 0 if there is none."""
        reached = np.flatnonzero((self.pairs >= share * self.seeds) & (self.pairs > 0) & self.common)
        return int(reached[-1]) + 1 if reached.size else 0

    @property
    def common(self) -> Booleans:
        """Which lags at least half of the samples reach, of those that reach any, (L,): one must not speak for all."""
        reach = ~np.isnan(self.sample_median)
        return np.asarray(2 * reach.sum(axis=0) >= reach.any(axis=1).sum())

    def peak(self, horizon: int) -> float:
        """Give the largest 90th percentile up to a lag, NaN if there is none."""
        part = self.high[:horizon]
        return float(np.nanmax(part)) if np.isfinite(part).any() or (part == -np.inf).any() else float("nan")

    def rate(self, horizon: int) -> float:
        """Fit the slope in nats a step, from about a tenth of the horizon on: of each pair, and then their median.

        The median curve itself would not do: at long lags it is made of late losses only, which began elsewhere.
        Longer pairs weigh more. One point has a slope too, with a gain of 1 at lag 0 as the other end. NaN without any.
        """
        first = max(int(min(5, horizon / 10)), 1)
        rows = np.unique(np.linspace(0, len(self.gains) - 1, min(len(self.gains), _SLOPE_PAIRS)).round().astype(int))
        values = self.gains[rows, first - 1 : horizon]
        lags = np.arange(first, first + values.shape[1], dtype=np.float64)
        slopes, weights = [], []
        for row in values:
            known = np.flatnonzero(np.isfinite(row) & (row > self.floor))
            if known.size > 1:
                slopes.append(theil_sen(lags[known], row[known]))
                weights.append(lags[known[-1]] - lags[known[0]])
        if not slopes:
            known = np.flatnonzero(np.isfinite(self.median[first - 1 : horizon]))
            return float(self.median[first - 1 + known[0]] / lags[known[0]]) if known.size else float("nan")
        found = _weighted_median(np.array(slopes), np.array(weights))
        return 0.0 if abs(found) < _STILL else found

    def memory_horizon(self, epsilon: float) -> int | None:
        """Give the longest lag up to which the median stays at or above `epsilon`; None without any pair."""
        known = np.flatnonzero(self.pairs)
        if not known.size:
            return None
        below = [lag for lag in known if self.median[lag] < np.log(epsilon)]
        return int(below[0]) if below else self.longest


def half_life(rate: float) -> float | None:
    """Compute the steps in which a gradient halves, from nats a step; None where it does not shrink."""
    return math.log(2) / -rate if rate < 0 and math.isfinite(rate) else None


def theil_sen(x: Floats, y: Floats) -> float:
    """Compute the median slope over all pairs of points; NaN for fewer than two points."""
    if len(x) > _SLOPE_POINTS:
        kept = np.linspace(0, len(x) - 1, _SLOPE_POINTS).round().astype(int)
        x, y = x[kept], y[kept]
    if len(x) < 2:
        return float("nan")
    first, second = np.triu_indices(len(x), k=1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    half = reached[-1] / 2
    low, high = np.searchsorted(reached, half, side="left"), np.searchsorted(reached, half, side="right")
    return float((values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2)


def lag_curve(traces: Sequence[LagTrace], direction: str) -> LagCurve:
    """Pool the lag matrices of states that are carried together (the norm over all of them) into a curve."""
    first = traces[0]
    log = combined(traces)
    copied, severed, births = first.copied, first.severed, births_of(traces, direction)
    log = log[:, :, 1:]  # a lag counts steps between states; the initial state is not one of them
    time = log.shape[-1]
    if direction == REVERSE:
        log, copied, severed, births = log[..., ::-1], copied[:, ::-1], severed[:, ::-1], time - 1 - births
    floor = -np.inf
    ratios = _ratios(log, copied, severed, births, np.full(log.shape, np.nan))
    ratios[(ratios > -np.inf) & (ratios < floor)] = floor  # no smaller than what may be left of the others
    start = np.take_along_axis(log, births[:, :, None], axis=2)[..., 0]
    flat = ratios.reshape(ratios.shape[0] * ratios.shape[1], ratios.shape[2])
    per_sample, sample_high = quantile(ratios, 0.5, axis=1), quantile(ratios, 0.9, axis=1)
    return LagCurve(
        median=quantile(per_sample, 0.5, axis=0),
        low=quantile(flat, 0.1, axis=0),
        high=quantile(flat, 0.9, axis=0),
        pairs=(~np.isnan(flat)).sum(axis=0).astype(np.int64),
        seeds=int(np.isfinite(start).sum()),
        samples=first.samples,
        sample_median=per_sample,
        sample_high=sample_high,
        nonfinite=int((log == np.inf).sum()),
        floor=floor,
        gains=flat,
    )


def births_of(traces: Sequence[LagTrace], direction: str) -> Integers:
    """Give the timestep at which each loss enters any of the states that are carried together, (B, S)."""
    earliest = np.minimum if direction == REVERSE else np.maximum  # in the order in which a gradient walks back
    return np.asarray(earliest.reduce([trace.arrivals for trace in traces]))


def taken(lags: LagTrace) -> str:
    """Say which losses and samples were measured, and how far."""
    losses = "all" if len(lags.losses) == lags.available else f"{len(lags.losses)} of {lags.available}"
    samples = "all" if len(lags.samples) == lags.batch else f"{len(lags.samples)} of {lags.batch}"
    text = f"{losses} loss steps, {samples} samples"
    return text if lags.max_lag is None else f"{text}, up to lag {lags.max_lag}"


def log_norm(log: Floats) -> Floats:
    """Give the log norm over axis 0, samples or states, of log norms: of those that are known, NaN where none is."""
    known = ~np.isnan(log)
    total = np.logaddexp.reduce(2 * np.where(known, log, -np.inf), axis=0) / 2
    return np.where(known.any(axis=0), total, np.nan)


def combined(traces: Sequence[LagTrace]) -> Floats:
    """Give the log norm over several states of one step, (B, S, T + 1)."""
    return traces[0].log if len(traces) == 1 else log_norm(np.stack([trace.log for trace in traces]))


def _ratios(log: Floats, copied: Booleans, severed: Booleans, births: Integers, floor: Floats) -> Floats:
    """Sort the gains by lag, (B, S, T - 1), in processing order; NaN where there is no pair.

    `floor` (B, S, T) holds the gain of what was no longer followed, and NaN elsewhere.
    """
    batch, count, time = log.shape
    ratios = np.full((batch, count, max(time - 1, 0)), np.nan)
    steps, cuts = np.cumsum(~copied, axis=1), np.cumsum(severed, axis=1)
    every = np.arange(batch)
    for row in range(count):
        born = births[:, row]
        lag: Integers = steps[every, born][:, None] - steps
        start = log[every, row, born][:, None]
        with np.errstate(invalid="ignore"):  # from what is not a number, which is left out
            gain = np.where(np.isnan(floor[:, row]), log[:, row] - start, floor[:, row])
        usable = ~copied & (cuts == cuts[every, born][:, None]) & (np.arange(time) < born[:, None]) & (lag > 0)
        sample, place = np.nonzero(usable & np.isfinite(start) & ~np.isnan(gain) & (gain != np.inf))
        ratios[sample, row, lag[sample, place] - 1] = gain[sample, place]
    return ratios
