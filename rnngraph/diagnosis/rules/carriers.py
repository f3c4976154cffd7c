"""Rules on who carries the credit: layers, losses, samples and positions that fare otherwise than the rest."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.credit import Credit
from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.evidence import evidence
from rnngraph.diagnosis.finding import NOTE, WARNING, Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, Path
from rnngraph.diagnosis.rules.gradient import find_readout
from rnngraph.diagnosis.sentences import counted, is_left, part_text, percent, spans_text
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.quantile import quantile

# Not the word of a verdict: that is about the whole.
_SAID = {"vanishing": "dies", "exploding": "explodes", "healthy": "arrives"}
_APART = 1.0  # decades from the median, below which a sample does not differ from the rest


def find_bypassed(network: Network, layer: Layer) -> Finding | None:
    """A layer carries nothing over its steps, and the credit takes another way."""
    path = network.path_of(layer)
    if path is None or not layer.decades <= network.limits.vanishing or not path.decades > network.limits.vanishing:
        return None
    if find_readout(layer) is not None:
        return None
    # Two that hand each other their states carry the same: one that does otherwise carries a decade more.
    apart, own = network.limits.readout, layer.decades_from_first
    carriers = [one.name for one in network.carriers(layer) if one.decades_from_first - own >= apart]
    if not carriers:
        return None
    return Finding(
        "bypassed", NOTE, layer.where, {**evidence(layer), "carriers": len(carriers)}, "another way",
        "Nothing need be done, if this layer need not remember.",
        f"{layer.name} itself keeps {percent(layer.decades)} of what a loss gives it over "
        f"{counted(layer.horizon, 'step')}: {', '.join(carriers)} {'carry' if len(carriers) > 1 else 'carries'} it.",
    )  # fmt: skip


def find_few_losses(network: Network, path: Path) -> Finding | None:
    """A few of the losses give most of the gradient."""
    share, _ = path.sums.participation(path.horizon)
    if not share < network.limits.participation or not path.horizon:
        return None
    count = _counted(path)[0]
    return Finding(
        "few_losses", NOTE, path.where, {"participation": share, "losses": count}, "the size of the losses",
        "Look at which steps bear a loss of some size, and whether they are those that matter.",
        f"Most of the gradient{_of(network, path)} comes from about {max(round(share * count), 1)} of {count} losses: "
        "what is said here is said of them.",
    )  # fmt: skip


def find_few_samples(network: Network, path: Path) -> Finding | None:
    """A few of the samples carry most of what arrives at the lag that is judged."""
    _, share = path.sums.participation(path.horizon)
    if not share < network.limits.participation or not path.decades > network.limits.vanishing:
        return None
    count = _counted(path)[1]
    return Finding(
        "few_samples", NOTE, path.where, {"participation": share, "samples": count}, "the samples",
        "Look at what these samples have in common, and at the others alone.",
        f"Most of what arrives at lag {path.horizon}{_of(network, path)} is of about {max(round(share * count), 1)} of "
        f"{count} samples.",
    )  # fmt: skip


def find_blind_span(network: Network, path: Path) -> Finding | None:
    """One loss reads many steps, and hears next to nothing of some of them."""
    if path.input is None or not path.layer.lags[0].joint:
        return None
    heard = _by_position(path.input.log, np.asarray(path.layer.recurrence.valid.any(axis=0)))
    if not np.isfinite(heard).any():
        return None
    deaf = heard < np.nanmax(heard) + math.log(network.limits.blind)
    if not deaf.any():
        return None
    return Finding(
        "blind_span", WARNING, {**path.where, "timestep": int(np.flatnonzero(deaf)[0])},
        {"positions": int(deaf.sum()), "of": int((~np.isnan(heard)).sum())}, "readout",
        "Let the loss read these steps too (a mean, a maximum, attention), or let the recurrence carry them.",
        f"The loss hears next to nothing of {counted(int(deaf.sum()), 'step')} of {path.input.name} "
        f"({spans_text(deaf)}): each has less than {part_text(network.limits.blind)} of the credit of the best heard "
        "step.",
    )  # fmt: skip


def _by_position(log: Floats, valid: np.typing.NDArray[np.bool_]) -> Floats:
    """Give ln of the credit of every position, over samples and losses, (T,); NaN in padding."""
    with np.errstate(divide="ignore"):
        total = np.logaddexp.reduce(np.where(np.isnan(log), -np.inf, log), axis=(0, 1))
    return np.where(valid, total, np.nan)


def _of(network: Network, path: Path) -> str:
    """Name the recurrence of a path where there are several."""
    return f" of {path.layer.name}" if len(network.paths) > 1 else ""


def _counted(path: Path) -> tuple[int, int]:
    first = path.layer.lags[0]
    return len(first.losses), len(first.samples)


# ---- the samples, compared with each other
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
