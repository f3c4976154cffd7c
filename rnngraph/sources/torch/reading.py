"""Where the lags of a layer would not be the network's, because another layer reads it step by step.

In: the calls of a watch, and which of them are walked. Out: the reasons for which lags must be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.choose import forward_calls, reached_calls
from rnngraph.sources.torch.feeding import Calls, Feed, feeds_of
from rnngraph.sources.torch.recompute import bits_of
from rnngraph.sources.torch.sequence import chain_break, joined

Steps: TypeAlias = dict[tuple[int, int], float]  # the call and its step, and how large a gradient was handed there

# Relative; how far the gradients at two steps may differ and still be one that was spread over all steps.
SPREAD = 1e-5


def lagless(everything: list[Call], calls: Calls, feeds: Mapping[str, Feed]) -> list[str]:
    """Say why the lags of what is walked again would not be the network's; nothing where they are."""
    above = _descent(everything)
    reasons = []
    for path, members in calls.items():
        if _feeds_itself(members, above):
            reasons.append(
                f"the output of a step of {path} is fed back as the input of a later step, and what comes back that "
                "way would count as the earlier step's own loss; lags need the whole step, declared on a tape of "
                "rnngraph's own with tape.state"
            )
            continue
        reader = _reader(everything, path, calls, feeds)
        if reader == path:
            reasons.append(f"another call of {path} reads this call's output, and what it sends back is not followed")
        elif reader is not None:
            way = "over operations that are not walked again" if reader in calls else "which is not traced"
            reasons.append(
                f"the output of {path} is the input of {reader}, {way}, and what later losses send back through "
                f"{reader} would count as the earlier step's own loss{_advice(everything, path, reader)}"
            )
    return reasons


def _feeds_itself(members: list[Call], above: Mapping[int, int]) -> bool:
    own = _bits(members)
    return any(_closed(call.fed_by, above) & own & ((1 << call.index) - 1) for call in members)


def _reader(everything: list[Call], path: str, calls: Calls, feeds: Mapping[str, Feed]) -> str | None:
    """Give a layer that reads the traced calls of `path` step by step and is not walked on them."""
    own = _bits(calls[path])
    readers: dict[str, list[Call]] = {}
    for one in everything:
        walked = one.module in feeds and feeds[one.module].below == path and one in calls[one.module]
        if one.grads and one.fed_by & own and not own >> one.index & 1 and not walked:
            readers.setdefault(one.module, []).append(one)
    return next((name for name, found in readers.items() if name == path or _in_order(found, calls[path])), None)


def _in_order(readers: list[Call], members: list[Call]) -> bool:
    """Tell whether a layer's steps stand for steps of what it reads, so that its memory is over the same time."""
    parts = [read for one in readers if (read := _read(one, members))]
    sizes = [size for part in parts for size in part.values()]
    if len({step for part in parts for step in part}) < 2:  # as of a final state: the gradient enters at one step
        return False
    if _pick_differently(readers):
        return True
    if all(one.steps == 1 for one in readers):  # attention looks at the same steps every time
        return len({frozenset(part) for part in parts}) > 1
    if all(_batch(one) != _batch(members[0]) for one in readers):  # as of sentences, each of which is a sample below
        return False
    return not max(sizes) - min(sizes) <= SPREAD * max(sizes)  # a mean over all steps hands the same to each


def _pick_differently(readers: list[Call]) -> bool:
    """Tell whether calls were given different parts of one tensor, which was computed for all of them at once."""
    parts: dict[int, set[frozenset[int]]] = {}
    for one in readers:
        picks = set() if one.x_passage is None else one.x_passage.picks
        for source in {source for source, _ in picks}:
            parts.setdefault(source, set()).add(frozenset(part for given, part in picks if given == source))
    return any(len(different) > 1 for different in parts.values())


def _read(one: Call, members: list[Call]) -> Steps:
    """Give the steps of `members` that a call reads."""
    passage, found = one.x_passage, Steps()
    for call in members:
        if passage is not None and passage.complete:
            kinds = {kind for index, kind in passage.ends if index == call.index}
        else:
            kinds = {"h" if call.layout.cell else "output"} if one.fed_by >> call.index & 1 else set()
        if kinds - {"output"}:  # what a cell or the last step returned
            found[call.index, call.steps - 1] = float("inf")
        if "output" not in kinds:
            continue
        sent = None if passage is None else passage.sent.get((call.index, "output"))
        if sent is None:  # all of it, as it is
            found |= {(call.index, step): float("inf") for step in range(call.steps)}
            continue
        sizes = np.abs(call.sequence(sent)).max(axis=(0, 2))
        found |= {(call.index, int(step)): float(sizes[step]) for step in np.flatnonzero(sizes)}
    return found


def _batch(call: Call) -> int:
    return int(call.sequence(call.x).shape[0])


def _advice(everything: list[Call], path: str, reader: str) -> str:
    """Name the trace that has lags, where there is one."""
    found = reached_calls(forward_calls(everything))
    try:
        sequences = {name: joined(calls) for name, calls in found.items()}
        sizes = {sequence.x.shape[:2] for sequence in sequences.values()}
        feeds = feeds_of(found, sequences) if len(sizes) == 1 else {}
    except InputError:
        feeds = {}
    if feeds.get(reader, Feed("", None)).below == path and not _is_lagless(everything, found, feeds):
        return f"; trace() walks {path} and {reader} as one stack, and has their lags"
    alone = {reader: found[reader]}
    if chain_break(found[reader]) is None and not _is_lagless(everything, alone, {}):
        return f"; trace('{reader}') has its lags"
    return ""


def _is_lagless(everything: list[Call], calls: Calls, feeds: Mapping[str, Feed]) -> bool:
    above = _descent(everything)
    return any(
        _feeds_itself(members, above) or _reader(everything, path, calls, feeds) for path, members in calls.items()
    )


def _bits(calls: list[Call]) -> int:
    return sum(1 << call.index for call in calls)


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
