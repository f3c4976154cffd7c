"""Rules on who carries the credit: a layer that does not, few losses, few samples, positions that are not heard."""

from __future__ import annotations

import math

import numpy as np

from rnngraph.diagnosis.evidence import evidence
from rnngraph.diagnosis.finding import NOTE, WARNING, Finding
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, Path
from rnngraph.diagnosis.rules.gradient import find_readout
from rnngraph.diagnosis.sentences import counted, part_text, percent, spans_text
from rnngraph.trace.magnitudes import Floats


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
