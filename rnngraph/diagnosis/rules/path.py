"""Rules on the credit that reaches what the network is fed: unwritten, saturated, vanishing or attenuating.

One of them at most holds for a path; `_state` tells which.
"""

from __future__ import annotations

import math

from rnngraph.diagnosis.causes import cause, is_flat, lost_once
from rnngraph.diagnosis.evidence import end_of_memory, evidence, path_evidence
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding, Value
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, Path
from rnngraph.diagnosis.remedies import advice
from rnngraph.diagnosis.rules.signal import find_dead
from rnngraph.diagnosis.sentences import no_credit, pace_of, percent, share_text


def find_unwritten(network: Network, path: Path) -> Finding | None:
    """The states carry a gradient, but what they remember does not come from the input."""
    if _state(network, path) != "unwritten":
        return None
    limits, share = network.limits, path.written
    shut = path.shut(limits.unwritten)
    carrier = _keepers(network, path)[0]
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
    if _state(network, path) != "saturated":
        return None
    text = f"{path.layer.name} is saturated, and {no_credit(path)}"
    return _ending(network, path, "saturated", "activation", advice.for_saturated(path.layer), text)


def find_vanishing(network: Network, path: Path) -> Finding | None:
    """The gradient has vanished at the lag that is judged."""
    if _state(network, path) != "vanishing":
        return None
    if _is_late(network, path):
        return _ending(
            network, path, "vanishing", "losses",
            "Give the losses that have so many steps before them more weight, or judge a shorter lag.",
            f"What trains {path.layer.name} does not reach lag {path.horizon}: the losses with so many steps before "
            f"them weigh {share_text(path.decades - path.alone)} of the mean, and the others have no such lag.",
        )  # fmt: skip
    once = lost_once(path.layer, path.decades, path.reach)
    if once is not None:
        return _ending(
            network, path, "vanishing", "one step",
            "Look at what the network is fed there, and at which gate or units it shuts.",
            f"In {path.layer.name} {no_credit(path)}", lost_at=once[0], kept_there=once[1],
        )  # fmt: skip
    return _ending(
        network, path, "vanishing", cause(path.layer, path.decades),
        advice.for_vanishing(path.layer, max(path.horizon, 1)), f"In {path.layer.name} {no_credit(path)}",
    )  # fmt: skip


def find_attenuating(network: Network, path: Path) -> Finding | None:
    """The gradient shrinks to what nothing is learned from now, but not to nothing."""
    if _state(network, path) != "attenuating":
        return None
    return _ending(
        network, path, "attenuating", cause(path.layer, path.decades),
        advice.for_vanishing(path.layer, path.horizon),
        f"In {path.layer.name} {percent(path.decades)} of the credit is left at lag {path.horizon}{pace_of(path)}: "
        "too little to learn from now, though training may open the way.",
    )  # fmt: skip


def _state(network: Network, path: Path) -> str:
    """Tell which of the four holds; "" where enough is left, nothing is known, or the units are dead."""
    limits, decades = network.limits, path.decades
    if math.isnan(decades):
        return ""
    if _keepers(network, path):
        return "unwritten"
    if decades > limits.vanishing:
        return "attenuating" if decades <= limits.attenuating else ""
    if find_dead(path.layer) is not None:
        return ""
    flat = is_flat(path.layer) and cause(path.layer, decades) != "gate"
    return "saturated" if flat and not _is_late(network, path) else "vanishing"


def _keepers(network: Network, path: Path) -> list[Layer]:
    """Give the layers that keep a gradient of which the input hears nothing: of one that fades too, a decade less."""
    some, limits = network.carriers(path.layer), network.limits
    if path.shut(limits.unwritten):
        return some
    faded = path.alone <= limits.vanishing
    return [one for one in some if faded and one.decades_from_first - path.alone >= limits.readout]


def _is_late(network: Network, path: Path) -> bool:
    """Whether losses that weigh next to nothing reach the lag, and the others have no such lag."""
    return path.alone > network.limits.vanishing


def _ending(
    network: Network, path: Path, rule: str, reason: str, attempt: str, text: str, **more: Value
) -> Finding:  # fmt: skip
    """Give what is found of credit that ends; without a lag that the task needs, nothing is wrong with a reach."""
    grave, light = (WARNING, NOTE) if rule == "attenuating" else (ERROR, WARNING)
    return Finding(
        rule, light if network.asked is None else grave, {**path.where, **end_of_memory(path)},
        {**evidence(path.layer), **path_evidence(network, path), **more}, reason, attempt, text,
    )  # fmt: skip
