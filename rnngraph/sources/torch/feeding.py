"""Recurrent layers that read one another: which ones are a stack.

In: the calls of a watch with what autograd knows of their inputs. Out: the layers that are walked on one another's
output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.torch.call import Call
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
        if any(wanted in call.arrivals.altered for call in calls[lower]):  # by a hook of the user's
            continue
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
