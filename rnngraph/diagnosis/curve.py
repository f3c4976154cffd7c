"""The lag curve: what is left of a gradient after so many steps back, over all losses and samples.

In: the `LagTrace`s of a layer's states. Out: a `LagCurve` in nats (natural logarithms of gains), and the few numbers
that sum it up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.credit import Credit, credit_of
from rnngraph.diagnosis.slope import theil_sen, weighted_median
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace
from rnngraph.trace.quantile import of_ordered, quantile

LN10 = math.log(10)  # nats in a decade
_TOGETHER = 2**18  # numbers that are looked at together
_SLOPES = 512  # (loss, sample) pairs that a slope is fitted to
_STILL = 1e-9  # nats a step that are rounding


@dataclass(frozen=True, slots=True)
class LagCurve:
    """Gains by lag, in nats; entry 0 is lag 1. -inf is an exact zero, NaN where there is no pair."""

    median: Floats  # (L,) over samples, of the medians over each sample's losses
    low: Floats  # (L,) 10th percentile over (loss, sample) pairs
    high: Floats  # (L,) 90th
    sample_median: Floats  # (B, L)
    sample_high: Floats  # (B, L) 90th percentile over the sample's losses
    credit: Credit

    def peak(self, horizon: int) -> float:
        """Give the largest 90th percentile up to a lag, NaN if there is none."""
        known = self.high[:horizon][~np.isnan(self.high[:horizon])]
        return float(known.max()) if known.size else float("nan")

    def rate(self, horizon: int) -> float:
        """Fit the slope in nats a step, from about a tenth of the horizon on: of each pair, and then their median.

        The median curve itself would not do: at long lags it is made of late losses only, which began elsewhere.
        Longer pairs weigh more. One point has a slope too, with a gain of 1 at lag 0 as the other end. NaN without any.
        """
        lags = np.arange(max(int(min(5, horizon / 10)), 1), horizon + 1)
        samples, losses = self.credit.arrivals.shape
        chosen = np.linspace(0, samples * losses - 1, min(samples * losses, _SLOPES)).round().astype(int)
        slopes, weights, several = [], [], max(_TOGETHER // max(lags.size, 1), 1)
        for sample in range(samples):
            own = chosen[chosen // losses == sample] % losses
            parts = (own[first : first + several] for first in range(0, own.size, several))
            for logs in (one for part in parts for one in self.credit.logs(sample, lags, losses=part)):
                known = np.flatnonzero(np.isfinite(logs))
                if known.size > 1:
                    slopes.append(theil_sen(lags[known].astype(np.float64), logs[known]))
                    weights.append(lags[known[-1]] - lags[known[0]])
        if not slopes:
            known = lags[np.isfinite(self.median[lags - 1])]
            return float(self.median[known[0] - 1] / known[0]) if known.size else float("nan")
        found = weighted_median(np.array(slopes), np.array(weights))
        return 0.0 if abs(found) < _STILL else found


def lag_curve(traces: Sequence[LagTrace], direction: str) -> LagCurve:
    """Pool the lag matrices of states that are carried together (the norm over all of them) into a curve."""
    credit = credit_of(traces, direction)
    samples, _, steps = credit.log.shape
    longest = steps - 1
    median, low, high = np.full((3, longest), np.nan)
    sample_median, sample_high = np.full((2, samples, longest), np.nan)
    for part, logs in credit.by_lag():
        with np.errstate(invalid="ignore"):  # from what is not a number, which is left out
            gains = logs - credit.start[..., None]
        gains[gains == np.inf] = np.nan
        sample_median[:, part], sample_high[:, part] = _quantiles(gains, 0.5)
        low[part], high[part] = _quantiles(gains.reshape(-1, gains.shape[-1]), 0.1)
        median[part] = quantile(sample_median[:, part], 0.5, axis=0)
    return LagCurve(median, low, high, sample_median, sample_high, credit)


def taken(lags: LagTrace) -> str:
    """Say which losses and samples were measured, and how far."""
    losses = "all" if len(lags.losses) == lags.available else f"{len(lags.losses)} of {lags.available}"
    samples = "all" if len(lags.samples) == lags.batch else f"{len(lags.samples)} of {lags.batch}"
    text = f"{losses} loss steps, {samples} samples"
    return text if lags.max_lag is None else f"{text}, up to lag {lags.max_lag}"


def _quantiles(gains: Floats, low: float) -> tuple[Floats, Floats]:
    """Give a quantile over the losses, the last axis but one, and that of 90 %."""
    ordered = np.sort(np.swapaxes(gains, -1, -2), axis=-1)
    count = (~np.isnan(ordered)).sum(axis=-1)
    return of_ordered(ordered, low, count=count), of_ordered(ordered, 0.9, count=count)
