"""Calls that `torch.utils.checkpoint` made again while the gradient came back, put in the place of the first ones.

In: the calls of a watch, in the order in which they were made. Out: the calls in the order of the forward pass, each
with its gradient, wherever it reached them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.lineage import Passage


def in_order(calls: list[Call]) -> list[Call]:
    """Give every call of the forward pass once.

    With `use_reentrant=False` the gradient reaches the first call, and the second is left out. With
    `use_reentrant=True` it reaches the second, and calls come again in the reverse order of their segments.

    Raises:
        InputError: a call was made again whose first time was not watched, or is not to be recognised.
    """
    again = [call for call in calls if call.recomputed and call.grads]
    firsts = [call for call in calls if not call.recomputed]
    if not again:
        return firsts
    twins: dict[int, Call] = {}
    waiting = again[::-1]  # the last to be made again is the first
    for first in firsts:
        twin = None if first.grads else next((call for call in waiting if _is_twin(first, call)), None)
        if twin is not None:
            twins[first.index] = twin
            waiting.remove(twin)
    if waiting:
        raise InputError(
            f"{waiting[0].module} was called again during the backward pass, by torch.utils.checkpoint, and its first "
            "call in the forward pass cannot be told: watch forward and backward in one with block, or pass "
            "use_reentrant=False to checkpoint."
        )
    places = {twin.index: index for index, twin in twins.items()}
    return [_merged(first, twins[first.index], places) if first.index in twins else first for first in firsts]


def _is_twin(first: Call, again: Call) -> bool:
    if first.module != again.module or first.initial.keys() != again.initial.keys():
        return False
    pairs = [(first.x, again.x), *((one, again.initial[kind]) for kind, one in first.initial.items())]
    pairs += [(one, again.final[kind]) for kind, one in first.final.items() if kind in again.final]
    return all(_is_equal(one, other) for one, other in pairs)


def _is_equal(one: Any, other: Any) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(one.equal(other))


def _merged(first: Call, again: Call, places: dict[int, int]) -> Call:
    """Take what was computed again, and where it came from: within its segment from the second time, else the first."""
    passages = {kind: _moved(one, places) for kind, one in again.passages.items()}
    passages |= {kind: one for kind, one in first.passages.items() if kind not in passages or not passages[kind].ends}
    x = None if again.x_passage is None else _moved(again.x_passage, places)
    return replace(
        again,
        index=first.index,
        recomputed=False,
        fed_by=first.fed_by | _moved_bits(again.fed_by, places),
        begun_by=first.begun_by | _moved_bits(again.begun_by, places),
        x_passage=first.x_passage if x is None or not x.ends else x,
        passages=passages,
    )


def _moved(passage: Passage, places: dict[int, int]) -> Passage:
    def moved(end: tuple[int, str]) -> tuple[int, str]:
        return places.get(end[0], end[0]), end[1]

    return replace(
        passage,
        ends=frozenset(moved(end) for end in passage.ends),
        sent={moved(end): gradient for end, gradient in passage.sent.items()},
    )


def _moved_bits(bits: int, places: dict[int, int]) -> int:
    return sum({1 << places.get(index, index) for index in bits_of(bits)})


def bits_of(bits: int) -> list[int]:
    """List the numbers that stand in a set of bits."""
    found = []
    while bits:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return found
