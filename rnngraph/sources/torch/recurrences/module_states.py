"""What one call of a module hands on to a later call of the same: the state, however it travels.

In: the calls of one module, in order. Out: the edges of the graph that cross, call by call. A state may be returned and
passed on, kept in an attribute, or changed on its way; only the graph is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnngraph.sources.torch.autograd.edges import (
    Edge,
    age,
    holds_throughout,
    number_of,
    unviewed,
    walk_down,
)
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.inputs.step_inputs import is_of_weights


@dataclass(frozen=True, slots=True)
class CallStates:
    """States by call, and whether a call descends from an earlier one."""

    states: list[list[Edge]]
    linked: list[bool]
    stride: int = 1  # of a dilated one, or of sequences in turn, the calls from one to the next that goes on from it


def module_states(calls: list[Call], barred: Iterable[Call] = ()) -> CallStates:
    """Give, call by call, what a later call descends from; nothing is followed through a call in `barred`.

    Where every state is also returned, the last call's are given too, which nothing descends from.
    """
    begins = [call.begin for call in calls]
    walls = spans(barred)
    weights = {node for call in calls for node in call.weights}
    found: list[dict[Edge, None]] = [{} for _ in calls]
    origins: list[int | None] = [None] * len(calls)

    def owner(node: Any, limit: int) -> int | None:
        number = number_of(node)
        place = bisect_right(begins, number, 0, limit) - 1
        return place if place >= 0 and number < calls[place].end else None

    nowhere = set[Any]()  # nodes that lead to no earlier call

    def known(limit: int, node: Any) -> bool:
        return owner(node, limit) is not None or is_within(walls, node) or node in weights or node in nowhere

    for i, call in enumerate(calls[1:], 1):
        roots = [node for node, _ in call.out if number_of(node) >= call.begin]
        passed: list[Any] = []
        for least in dict.fromkeys((calls[i - 1].begin, calls[0].begin)):  # the call before, else any: a dilated one
            for _, node, place in walk_down(roots, least, partial(known, i)):
                passed.append(node)
                j = owner(node, i)
                if j is not None:
                    found[j][unviewed((node, place))] = None
                    origins[i] = max(j, origins[i] or 0)
            if origins[i] is not None:
                break
        else:
            nowhere.update(passed)
    states = without_weights([list(some) for some in found])
    linked = [one is not None for one in origins]
    return CallStates(_ordered(calls, states), linked, _stride(origins))


def _stride(origins: list[int | None]) -> int:
    back = {k - j for k, j in enumerate(origins) if j is not None}
    stride = back.pop() if len(back) == 1 else 1
    return stride if None not in origins[stride:] else 1


def bypasses(calls: list[Call], barred: Iterable[Call]) -> bool:
    """Tell whether a call takes no output of the one before as it is, but what that and still earlier ones made of it.

    Nothing is followed through a call in `barred`.
    """
    if len(calls) < 3:
        return False
    first, passed, last = calls[len(calls) // 2 - 1 : len(calls) // 2 + 2]
    walls = spans((*barred, passed))
    roots = [node for node, _ in last.out if last.made(node)]
    links = list(walk_down(roots, first.begin, partial(ends_at, first, walls)))
    handed = any(last.made(consumer) and passed.made(unviewed((node, place))[0]) for consumer, node, place in links)
    return not handed and any(first.made(node) for _, node, _ in links)


def without_weights(found: list[list[Edge]]) -> list[list[Edge]]:
    """Leave out what is made of weights alone, as what autocast casts once; but where they evolve, and that is all."""
    known = dict[Any, bool]()
    fed = [[edge for edge in some if not holds_throughout(edge[0], is_of_weights, known)] for some in found]
    return fed if any(fed) or not all(found[:-1]) else found


def _ordered(calls: list[Call], found: list[list[Edge]]) -> list[list[Edge]]:
    """Put states in the order in which they are returned, or else were made."""
    places = {k for call, some in zip(calls, found, strict=True) for k, edge in enumerate(call.out) if edge in some}
    crossing = [(call, some) for call, some in zip(calls, found, strict=True) if some]
    if places and all(edge in call.out for call, some in crossing for edge in some):
        return [[call.out[k] for k in sorted(places) if k < len(call.out)] for call in calls]
    width = max((len(some) for some in found), default=0)
    kept, widest = next(
        ((list(call.values), some) for call, some in crossing if len(some) == width), (list[Edge](), [])
    )
    held = [kept.index(edge) for edge in sorted(widest, key=age) if edge in kept]
    # Nothing descends from the last call: its states stand among what it leaves behind where others stood.
    left = ([list(call.values)[k] for k in held if k < len(call.values)] for call in calls)
    return [sorted(some, key=age) or one for some, one in zip(found, left, strict=True)]


def spans(calls: Iterable[Call]) -> list[tuple[int, int]]:
    """Give the spans of calls in order, without those of calls within others."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted((call.begin, -call.end) for call in calls):
        if not found or begin >= found[-1][1]:
            found.append((begin, -end))
    return found


def is_within(spans: list[tuple[int, int]], node: Any) -> bool:
    """Tell whether a node was made in one of the spans, which are sorted."""
    place = bisect_right(spans, (number_of(node), float("inf"))) - 1
    return place >= 0 and number_of(node) < spans[place][1]


def ends_at(call: Call, walls: list[tuple[int, int]], node: Any) -> bool:
    """Tell whether a walk down to a call ends at a node: there, or in one of the spans."""
    return call.made(node) or is_within(walls, node)
