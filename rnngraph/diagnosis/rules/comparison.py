"""A rule that compares the samples of a layer with each other."""

from __future__ import annotations

import numpy as np

from rnngraph.diagnosis.credit import Credit
from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import NOTE, WARNING, Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.sentences import is_left
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.quantile import quantile

# Not the word of a verdict: that is about the whole.
_SAID = {"vanishing": "dies", "exploding": "explodes", "healthy": "arrives"}
_APART = 1.0  # decades from the median, below which a sample does not differ from the rest


def find_sample_differs(layer: Layer) -> Finding | None:
    """One sample does not fare as the others do: the one that differs most is named.

    A sample explodes only where the layer does: what grows from next to nothing beside the others is no explosion. A
    sample is not compared at lags at which no loss reads what the layer gave it.
    """
    curve, limits, explodes = layer.curve, layer.limits, layer.peak >= layer.limits.exploding
    gains: dict[int, float] = {}
    medians, median = _medians(layer)
    different: list[tuple[float, int, int, str]] = []
    exploding: list[tuple[float, int, int, str]] = []  # as the whole does
    alike = 0
    for row, sample in enumerate(layer.lags[0].samples):
        reached = np.flatnonzero(~np.isnan(medians[row]))
        if not reached.size:
            continue
        lag = int(reached[-1]) + 1
        decades, middle = (float(of[lag - 1]) / LN10 for of in (medians[row], median))
        gains[int(sample)] = decades
        peak = float(np.nanmax(curve.sample_high[row, :lag])) / LN10
        label = _label(decades, peak if explodes else 0.0, limits)
        common = _label(middle, curve.peak(lag) / LN10 if explodes else 0.0, limits)
        off = 0.0 if decades == middle else abs(decades - middle)
        near = off < _APART and "exploding" not in (label, common)
        if label == common or near:
            alike += 1
            exploding += [(off, int(sample), lag, label)] if label == common == "exploding" else []
        else:
            different.append((off, int(sample), lag, label))
    if not different:
        return None
    # A few samples that explode make the whole explode: then they are the odd ones, not the many others.
    odd = exploding if len(different) > alike else different
    return _different(layer, max(odd), gains, median) if odd else None


def _medians(layer: Layer) -> tuple[Floats, Floats]:
    """Give the median over each sample's losses by lag, (B, L), and over the samples: of states that a loss reads."""
    curve, credit = layer.curve, layer.credit
    own, rows = curve.sample_median[:, : layer.horizon], np.flatnonzero(credit.unused.any(axis=1))
    if not rows.size:
        return own, curve.median
    read = Credit(
        np.where(credit.unused[rows, None], np.nan, credit.log[rows]), credit.arrivals[rows], credit.copied[rows],
        credit.severed[rows], credit.reverse, credit.alive[rows],
    )  # fmt: skip
    with np.errstate(invalid="ignore"):  # from what is not a number, which is left out
        gains = read.at_lags(np.arange(1, layer.horizon + 1)) - credit.start[rows][..., None]
    own = own.copy()
    own[rows] = quantile(gains, 0.5, axis=1)
    return own, quantile(own, 0.5, axis=0)


def _different(layer: Layer, worst: tuple[float, int, int, str], gains: dict[int, float], median: Floats) -> Finding:
    _, sample, lag, label = worst
    decades, middle = gains[sample], float(median[lag - 1]) / LN10
    evidence: dict[str, Value] = {
        "label": label, "lag": lag, "decades": decades, "median_decades": middle,
        "smallest_decades": min(gains.values()), "largest_decades": max(gains.values()), "samples": len(gains),
    }  # fmt: skip
    return Finding(
        "sample_differs", NOTE if label == "healthy" else WARNING, {**layer.where, "sample": sample}, evidence,
        "one sample differs", "Look at this sample's input and length.",
        f"In sample {sample} of {layer.name} the gradient {_SAID[label]}, unlike in others: at lag {lag} "
        f"{is_left(decades)}; in the median over {len(gains)} samples {is_left(middle)}.",
    )  # fmt: skip


def _label(decades: float, peak: float, limits: Thresholds) -> str:
    if peak >= limits.exploding:
        return "exploding"
    return "vanishing" if decades <= limits.vanishing else "healthy"
