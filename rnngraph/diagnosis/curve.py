"""The lag curve: what is left of a gradient after so many steps back, over all losses and samples.

In: the `LagTrace`s of states that are carried together. Out: a `LagCurve` in nats (natural logarithms of gains),
and the few numbers that sum it up. A lag counts steps that were really taken: copies over padding do not count, and
no pair crosses a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.trace.model import REVERSE, Booleans, Floats, Integers, LagTrace

_SLOPE_POINTS = 400  # Theil-Sen looks at every pair of points


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

    @property
    def longest(self) -> int:
        """The longest lag of which there is a pair; 0 if there is none."""
        return int(np.flatnonzero(self.pairs)[-1]) + 1 if self.pairs.any() else 0

    def covered(self, share: float) -> int:
        """Give the longest lag that at least this share of the pairs reach; 0 if there is none."""
        reached = np.flatnonzero((self.pairs >= share * self.seeds) & (self.pairs > 0))
        return int(reached[-1]) + 1 if reached.size else 0

    def peak(self, horizon: int) -> float:
        """Give the largest 90th percentile up to a lag, NaN if there is none."""
        part = self.high[:horizon]
        return float(np.nanmax(part)) if np.isfinite(part).any() or (part == -np.inf).any() else float("nan")

    def rate(self, horizon: int) -> float:
        """Fit the slope of the median, in nats a step, from about a tenth of the horizon on; NaN without a point.

        One point has a slope too: a gain of 1 at lag 0 is the other end.
        """
        first = max(int(min(5, horizon / 10)), 1)
        lags = np.arange(first, horizon + 1)
        values = self.median[first - 1 : horizon]
        known = np.isfinite(values) & (values > self.floor)
        if known.sum() == 1:
            return float(values[known][0] / lags[known][0])
        return theil_sen(lags[known].astype(np.float64), values[known])

    def memory_horizon(self, epsilon: float) -> int | None:
        """Give the longest lag up to which the median stays at or above `epsilon`; None without any pair."""
        known = np.flatnonzero(self.pairs)
        if not known.size:
            return None
        below = [lag for lag in known if self.median[lag] < np.log(epsilon)]
        return int(below[0]) if below else self.longest


def theil_sen(x: Floats, y: Floats) -> float:
    """Compute the median slope over all pairs of points; NaN for fewer than two points."""
    if len(x) > _SLOPE_POINTS:
        kept = np.linspace(0, len(x) - 1, _SLOPE_POINTS).round().astype(int)
        x, y = x[kept], y[kept]
    if len(x) < 2:
        return float("nan")
    first, second = np.triu_indices(len(x), k=1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def lag_curve(traces: Sequence[LagTrace], direction: str) -> LagCurve:
    """Pool the lag matrices of states that are carried together (the norm over all of them) into a curve."""
    first = traces[0]
    log = combined(traces)
    copied, severed, losses = first.copied, first.severed, first.losses
    dropped = _dropped(first)
    log = log[:, :, 1:]  # a lag counts steps between states; the initial state is not one of them
    time = log.shape[-1]
    if direction == REVERSE:
        log, copied, severed, losses = log[..., ::-1], copied[:, ::-1], severed[:, ::-1], time - 1 - losses
    floor = first.floor if dropped.any() else -np.inf
    ratios = _ratios(log, copied, severed, losses, np.where(dropped, floor, np.nan))
    ratios[(ratios > -np.inf) & (ratios < floor)] = floor  # no smaller than what may be left of the others
    start = np.take_along_axis(log, losses[None, :, None], axis=2)[..., 0] if len(losses) else np.zeros((len(log), 0))
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
    )


def _dropped(lags: LagTrace) -> Booleans:
    """Tell where a loss was no longer followed for want of a gradient, (S, T)."""
    steps = np.arange(lags.log.shape[2] - 1)
    dropped: Booleans = steps < lags.followed[:, None]
    return dropped if lags.max_lag is None else dropped & (lags.losses[:, None] - steps <= lags.max_lag)


def combined(traces: Sequence[LagTrace]) -> Floats:
    """Give the log norm over several states of one step, (B, S, T + 1)."""
    if len(traces) == 1:
        return traces[0].log
    with np.errstate(invalid="ignore"):
        return np.asarray(np.logaddexp.reduce([2 * trace.log for trace in traces], axis=0) / 2)


def _ratios(log: Floats, copied: Booleans, severed: Booleans, losses: Integers, floor: Floats) -> Floats:
    """Sort the gains by lag, (B, S, T - 1), in processing order; NaN where there is no pair.

    `floor` (S, T) holds the gain of what was no longer followed, and NaN elsewhere.
    """
    batch, count, time = log.shape
    ratios = np.full((batch, count, max(time - 1, 0)), np.nan)
    steps, cuts = np.cumsum(~copied, axis=1), np.cumsum(severed, axis=1)
    for row, loss in enumerate(losses):
        start = log[:, row, loss]
        lag: Integers = steps[:, loss, None] - steps[:, :loss]
        usable = np.isfinite(start)[:, None] & ~copied[:, :loss] & (cuts[:, loss, None] == cuts[:, :loss]) & (lag > 0)
        with np.errstate(invalid="ignore"):  # from what is not a number, which is left out
            gain = log[:, row, :loss] - start[:, None]
        part = np.where(np.isnan(floor[row, :loss]), gain, floor[row, :loss])
        usable &= ~np.isnan(part) & (part != np.inf)
        sample, place = np.nonzero(usable)
        ratios[sample, row, lag[sample, place] - 1] = part[sample, place]
    return ratios


def quantile(values: Floats, share: float, *, axis: int) -> Floats:
    """Compute a quantile with linear interpolation that takes -inf as a number and leaves NaN out."""
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)
    count = (~np.isnan(ordered)).sum(axis=-1)
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
    return np.where(count == 0, np.nan, np.where((weight == 0) | (below == -np.inf), below, between))
