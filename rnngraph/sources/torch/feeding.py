"""Recurrent layers that read one another: which ones are a stack, and where lags would not be the network's.

In: the calls of a watch with what autograd knows of their inputs. Out: the layers that are walked on one another's
output, and the reasons for which lags must be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.recompute import bits_of
from rnngraph.sources.torch.sequence import Sequence

Calls: TypeAlias = Mapping[str, list[Call]]

# Relative; how far an input may be from its share of the output below, in its value and in its gradient.
SHARE = {"float64": 1e-9, "float32": 1e-4}


@dataclass(frozen=True, slots=True)
class Feed:
    """The output of the layer `below` is a layer's input, as it is or times `factor`, which dropout makes."""

    below: str
    factor: Array | None  # (N, T, ·)


def feeds_of(calls: Calls, sequences: Mapping[str, Sequence]) -> dict[str, Feed]:
    """Find the layers that can be walked on the output of another, by their paths."""
    owners = {call.index: path for path, members in calls.items() for call in members}
    found = {}
    for path, members in calls.items():
        ends = [set() if call.x_passage is None else call.x_passage.ends for call in members]
        below = {owners.get(index) for each in ends for index, _ in each}
        if not all(ends) or len(below) != 1:
            continue
        lower = below.pop()
        if lower is None or lower == path:
            continue
        fed, feeding = sequences[path], sequences[lower]
        wanted = "h" if feeding.output_is_state else "output"
        if any(kind != wanted for each in ends for _, kind in each) or not _in_step(fed, feeding):
            continue
        if all(call.x_passage is not None and call.x_passage.plain for call in members):
            if np.array_equal(fed.x, feeding.output):
                found[path] = Feed(lower, None)
            continue
        factor = _factor(members, calls[lower], fed, feeding)
        if factor is not None:
            found[path] = Feed(lower, factor)
    return found


def _in_step(one: Sequence, other: Sequence) -> bool:
    if one.x.shape[:2] != other.output.shape[:2] or one.x.shape[2] != other.output.shape[2]:
        return False
    if one.mask is None or other.mask is None:
        return one.mask is None and other.mask is None
    return np.array_equal(one.mask, other.mask)


def _factor(members: list[Call], lower: list[Call], fed: Sequence, feeding: Sequence) -> Array | None:
    """Give what every number of the output below was multiplied with, where that is all that happened to it."""
    passages = [call.x_passage for call in members if call.x_passage is not None]
    if any("gradient" not in passage.arrived for passage in passages):
        return None
    kind = "h" if feeding.output_is_state else "output"
    arrived = np.concatenate(
        [call.sequence(one.arrived["gradient"]) for call, one in zip(members, passages, strict=True)], axis=1
    )
    shares = []
    for call in lower:
        parts = [one.sent[call.index, kind] for one in passages if (call.index, kind) in one.sent]
        if not parts:
            return None
        shares.append(call.sequence(sum(parts[1:], start=parts[0])))
    sent = np.concatenate(shares, axis=1)
    if arrived.shape != fed.x.shape or sent.shape != feeding.output.shape:
        return None
    with np.errstate(all="ignore"):
        factor = np.where(feeding.output != 0, fed.x / feeding.output, np.where(arrived != 0, sent / arrived, 0))
        size = np.abs(arrived).max(axis=-1, keepdims=True)
        same = np.abs(sent - factor * arrived) <= SHARE.get(fed.rounding, 0.05) * size
        same &= (feeding.output != 0) | (fed.x == 0)
    return np.asarray(factor, dtype=fed.x.dtype) if bool(same.all()) else None


def lagless(everything: list[Call], calls: Calls, feeds: Mapping[str, Feed]) -> list[str]:
    """Say why the lags of what is walked again would not be the network's; nothing where they are."""
    above = _descent(everything)
    reasons = []
    for path, members in calls.items():
        own = sum(1 << call.index for call in members)
        if any(_closed(call.fed_by, above) & own & ((1 << call.index) - 1) for call in members):
            reasons.append(
                f"the output of a step of {path} is fed back as the input of a later step, and what comes back that "
                "way would count as the earlier step's own loss; lags need the whole step, declared on a tape of "
                "rnngraph's own with tape.state"
            )
            continue
        reader = next((one for one in everything if _reads(one, path, own, calls, feeds, everything)), None)
        if reader is not None and reader.module == path:
            reasons.append(f"another call of {path} reads this call's output, and what it sends back is not followed")
        elif reader is not None:
            way = "over operations that are not walked again" if reader.module in calls else "which is not traced"
            reasons.append(
                f"the output of {path} is the input of {reader.module}, {way}, and what later losses send back through "
                f"{reader.module} would count as the earlier step's own loss; trace('{reader.module}') has its lags"
            )
    return reasons


def _reads(one: Call, path: str, own: int, calls: Calls, feeds: Mapping[str, Feed], everything: list[Call]) -> bool:
    """Tell whether a call reads the output of the calls `own` of a layer step by step, and is not walked on it."""
    if not one.grads or own >> one.index & 1 or not one.fed_by & own:
        return False
    if one.module == path:
        return True
    if one.module in feeds and feeds[one.module].below == path and one in calls[one.module]:
        return False
    straight = one.x_passage is not None and one.x_passage.plain
    steps = sum(call.steps for call in everything if call.module == one.module and call.grads)
    return straight or steps == sum(call.steps for call in calls[path])


def _descent(everything: list[Call]) -> dict[int, int]:
    """Give all calls that each call descends from, itself included, as bits."""
    found: dict[int, int] = {}
    for call in everything:
        found[call.index] = 1 << call.index | _closed(call.fed_by | call.begun_by, found)
    return found


def _closed(bits: int, above: Mapping[int, int]) -> int:
    closed = bits
    for index in bits_of(bits):
        closed |= above.get(index, 0)
    return closed
