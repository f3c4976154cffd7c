"""Rules on the credit that reaches what the network is fed: unwritten, saturated, vanishing or attenuating.

One of them at most holds for a path.
"""

from __future__ import annotations

import math

from rnngraph.diagnosis.causes import cause, is_flat
from rnngraph.diagnosis.evidence import end_of_memory, evidence, path_evidence
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding
from rnngraph.diagnosis.network import Network, Path
from rnngraph.diagnosis.remedies import advice
from rnngraph.diagnosis.rules.signal import find_dead
from rnngraph.diagnosis.sentences import no_credit, pace, percent, share_text


def find_unwritten(network: Network, path: Path) -> Finding | None:
    """The states carry a gradient, but what they remember does not come from the input."""
    if not _is_unwritten(network, path):
        return None
    limits, share = network.limits, path.written
    shut = path.shut(limits.unwritten)
    carrier = network.carriers(path.layer)[0]
    how = (
        f"{share_text(share)} of what its weights would allow" if shut
        else f"{share_text(path.alone)} of what it is at lag 1, at lag {path.horizon}"
    )  # fmt: skip
    numbers = {**path_evidence(network, path), "written_decades": share, "carrier": carrier.name}
    half = network.update_from(path.horizon // 2)
    if half is not None:
        numbers |= {"update_lag": half.lag, "update_decades": half.decades}
    # Where the weights get next to nothing from so far either, it is not learned in any other way.
    nothing = half is not None and half.decades <= limits.vanishing
    return Finding(
        "unwritten", ERROR if shut or nothing else WARNING, path.where, numbers, "input",
        advice.for_unwritten(path.layer),
        f"{carrier.name} keeps what it is given, but at the input the gradient is {how}.",
    )  # fmt: skip


def find_saturated(network: Network, path: Path) -> Finding | None:
    """The gradient has vanished, and flat activations are what took it."""
    if not _has_vanished(network, path) or _reaches(network, path) or not is_flat(path.layer):
        return None
    return Finding(
        "saturated", _grave(network), {**path.where, **end_of_memory(path)},
        {**evidence(path.layer), **path_evidence(network, path)}, "activation", advice.for_saturated(path.layer),
        f"{path.layer.name} is saturated, and {no_credit(path)}",
    )  # fmt: skip


def find_vanishing(network: Network, path: Path) -> Finding | None:
    """The gradient has vanished at the lag that is judged."""
    if not _has_vanished(network, path) or (_reaches(network, path) is None and is_flat(path.layer)):
        return None
    numbers = {**evidence(path.layer), **path_evidence(network, path)}
    if text := _reaches(network, path):
        return Finding(
            "vanishing", _grave(network), {**path.where, **end_of_memory(path)}, numbers, "losses",
            "Give the losses that have so many steps before them more weight, or judge a shorter lag.", text,
        )  # fmt: skip
    return Finding(
        "vanishing", _grave(network), {**path.where, **end_of_memory(path)}, numbers,
        cause(path.layer, path.decades, growing=False), advice.for_vanishing(path.layer, max(path.horizon, 1)),
        f"In {path.layer.name} {no_credit(path)}",
    )  # fmt: skip


def find_attenuating(network: Network, path: Path) -> Finding | None:
    """The gradient shrinks to what nothing is learned from now, but not to nothing."""
    if not network.limits.vanishing < path.decades <= network.limits.attenuating or _is_unwritten(network, path):
        return None
    return Finding(
        "attenuating", WARNING if network.asked is not None else NOTE, {**path.where, **end_of_memory(path)},
        {**evidence(path.layer), **path_evidence(network, path)}, cause(path.layer, path.decades, growing=False),
        advice.for_vanishing(path.layer, path.horizon),
        f"In {path.layer.name} {percent(path.decades)} of the credit is left at lag {path.horizon}{pace(path.layer)}: "
        "too little to learn from now, though training may open the way.",
    )  # fmt: skip


def _is_unwritten(network: Network, path: Path) -> bool:
    if math.isnan(path.decades) or not network.carriers(path.layer):
        return False
    return path.shut(network.limits.unwritten) or path.alone <= network.limits.vanishing


def _has_vanished(network: Network, path: Path) -> bool:
    if not path.decades <= network.limits.vanishing or _is_unwritten(network, path):
        return False
    return find_dead(path.layer) is None


def _reaches(network: Network, path: Path) -> str | None:
    """Say so where losses that weigh next to nothing reach the lag, and the others have no such lag."""
    if not path.alone > network.limits.vanishing:
        return None
    return (
        f"What trains {path.layer.name} does not reach lag {path.horizon}: the losses with so many steps before them "
        f"weigh {share_text(path.decades - path.alone)} of the mean, and the others have no such lag."
    )


def _grave(network: Network) -> str:
    """Without a lag that the task needs, nothing is wrong with a reach."""
    return ERROR if network.asked is not None else WARNING
