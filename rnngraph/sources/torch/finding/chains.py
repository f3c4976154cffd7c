"""What one call of a module hands on to a later call of the same: the state, however it travels.

In: the calls of one module, in order. Out: the edges of the graph that cross, call by call. A state may be returned and
passed on, kept in an attribute, or changed on its way; only the graph is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnngraph.sources.torch.autograd.edges import (
    Edge,
    all_below,
    at_and_below,
    is_parameter,
    number_of,
    oldest,
    plain,
    shape_of,
    walk_down,
)
from rnngraph.sources.torch.watching.calls import Call


@dataclass(frozen=True, slots=True)
class Chain:
    """States by call, and whether a call descends from an earlier one."""

    states: list[list[Edge]]
    linked: list[bool]
    stride: int = 1  # of a dilated one, or of sequences in turn, the calls from one to the next that goes on from it


def handed_on(calls: list[Call], barred: Iterable[Call] = ()) -> Chain:
    """Give, call by call, what a later call descends from; nothing is followed through a call in `barred`.

    Where every state is also returned, the last call's are given too, which nothing descends from.
    """
    begins = [call.begin for call in calls]
    walls = _spans(barred)
    weights = {node for call in calls for node in call.weights}
    found: list[dict[Edge, None]] = [{} for _ in calls]
    origins: list[int | None] = [None] * len(calls)

    def owner(node: Any, limit: int) -> int | None:
        number = number_of(node)
        place = bisect_right(begins, number, 0, limit) - 1
        return place if place >= 0 and number < calls[place].end else None

    def known(limit: int, node: Any) -> bool:
        return owner(node, limit) is not None or _is_within(walls, node) or node in weights

    for i, call in enumerate(calls[1:], 1):
        roots = [node for node, _ in call.out if number_of(node) >= call.begin]
        for least in dict.fromkeys((calls[i - 1].begin, calls[0].begin)):  # the call before, else any: a dilated one
            for _, node, place in walk_down(roots, least, partial(known, i)):
                j = owner(node, i)
                if j is not None:
                    found[j][plain((node, place))] = None
                    origins[i] = max(j, origins[i] or 0)
            if origins[i] is not None:
                break
    fed = [{edge: None for edge in some if not _is_of_weights(edge[0])} for some in found]
    if any(fed) or not all(found[:-1]):  # else weights are what is handed on, as where they evolve
        found = fed
    states = [list(some) for some in found]
    _leave_out_weights(states)
    linked = [one is not None for one in origins]
    return Chain(_ordered(calls, states), linked, _stride(origins))


def _stride(origins: list[int | None]) -> int:
    back = {k - j for k, j in enumerate(origins) if j is not None}
    stride = back.pop() if len(back) == 1 else 1
    return stride if None not in origins[stride:] else 1


def goes_past(calls: list[Call], barred: Iterable[Call]) -> bool:
    """Tell whether a call takes no output of the one before as it is, but what that and still earlier ones made of it.

    Nothing is followed through a call in `barred`.
    """
    if len(calls) < 3:
        return False
    first, passed, last = calls[len(calls) // 2 - 1 : len(calls) // 2 + 2]
    walls = _spans((*barred, passed))
    roots = [node for node, _ in last.out if last.made(node)]
    links = list(walk_down(roots, first.begin, partial(_ends, first, walls)))
    handed = any(last.made(consumer) and passed.made(plain((node, place))[0]) for consumer, node, place in links)
    return not handed and any(first.made(node) for _, node, _ in links)


def _leave_out_weights(found: list[list[Edge]]) -> None:
    """Leave out of the first states what later calls merely use again, as weights that autocast casts once."""
    if len(found) < 3 or not len(found[0]) > len(found[1]) > 0:
        return
    names, shapes = {edge[0].name() for edge in found[1]}, {shape_of(edge)[1:] for edge in found[1]}
    alike = sorted(found[0], key=lambda edge: (shape_of(edge)[1:] not in shapes, edge[0].name() not in names))
    found[0] = [edge for edge in found[0] if edge in alike[: len(found[1])]]


def _is_of_weights(node: Any) -> bool:
    """Whether something is made of weights alone, as autocast or a parametrization does once for many calls."""
    return all(
        is_parameter(one) or (one.next_functions and all(below is not None for below, _ in one.next_functions))
        for one in all_below([node])
    )


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


def age(edge: tuple[Any, ...]) -> int:
    """Give the number of the node that an edge, or a link of a walk, begins with."""
    return number_of(edge[0])


def crossing(calls: list[Call], roots: list[Any]) -> Chain:
    """Give the whole state of a loop around a plain module: what crosses from one of its calls to the next."""
    states: list[list[Edge]] = []
    for i, bound in enumerate(call.begin for call in calls[1:]):
        near, end = calls[min(i + 2, len(calls) - 1)], calls[-1]
        some = _descendants(calls[i], near.out, partial(_crosses, bound))
        states.append(sorted(some, key=age, reverse=True))  # the last made first
        if i and not some and calls[i].leads_to(node for node, _ in end.out):  # not to the next: a grid's edge
            states[i] = [edge for edge in _twins(calls, i, states[i - 1], roots) if edge is not None]
    states = _not_of_others(states)
    _leave_out_weights(states)
    if len(states) > 1:  # of the last but one not all is seen from the product of the last
        known = _twins(calls, len(calls) - 2, states[-2], roots)
        states[-1] = [edge for edge in known if edge is not None] or states[-1]
    final = _twins(calls, len(calls) - 1, states[-1], roots)
    order = sorted(range(len(final)), key=lambda place: final[place] is None)  # what nobody reads in the end comes last
    states = [[some[k] for k in order] if len(some) == len(order) else some for some in states]
    return Chain([*states, [edge for edge in final if edge is not None]], [False, *map(bool, states)])


def changed_between(calls: list[Call], roots: list[Any], barred: Iterable[Call], stride: int = 1) -> list[list[Edge]]:
    """Give, call by call, what its states become before the next call reads them: kept by a mask, dropped, scaled.

    Nothing is followed through a call in `barred`. Of the last call it is what stands where that of the one before did.
    """
    walls = _spans(barred)
    found: list[list[Edge]] = []
    for call, after in zip(calls, calls[stride:], strict=False):
        reading = [edge for edge in after.out if after.made(edge[0])]
        some = _descendants(call, reading, partial(_takes, after), partial(_ends, call, walls))
        found.append([edge for edge in some if call.end <= age(edge) < after.begin])
    for k in range(len(found), len(calls) if found else 0):
        found.append([edge for edge in _twins(calls, k, found[-1], roots) if edge is not None])
    return found


def _crosses(bound: int, consumer: Any, node: Any) -> bool:
    return number_of(node) < bound <= number_of(consumer)


def _takes(call: Call, consumer: Any, _: Any) -> bool:
    return call.made(consumer)


def _ends(call: Call, walls: list[tuple[int, int]], node: Any) -> bool:
    return call.made(node) or _is_within(walls, node)


def _spans(calls: Iterable[Call]) -> list[tuple[int, int]]:
    """Give the spans of calls in order, without those of calls within others."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted((call.begin, -call.end) for call in calls):
        if not found or begin >= found[-1][1]:
            found.append((begin, -end))
    return found


def _is_within(spans: list[tuple[int, int]], node: Any) -> bool:
    """Tell whether a node was made in one of the spans, which are sorted."""
    place = bisect_right(spans, (number_of(node), float("inf"))) - 1
    return place >= 0 and number_of(node) < spans[place][1]


def descending(links: Iterable[tuple[Any, Any, int]], call: Call) -> set[Any]:
    """Give the nodes of a walk that descend from what a call made."""
    reach = {node for _, node, _ in links if call.made(node)}
    for consumer, node, _ in sorted(links, key=age):
        if node in reach:
            reach.add(consumer)
    return reach


def _descendants(
    call: Call, roots: Iterable[Edge], chosen: Callable[[Any, Any], bool], stop: Callable[[Any], bool] | None = None
) -> list[Edge]:
    """Give what descends from a call, at the chosen edges (consumer, node) below `roots`.

    Of what is joined, [x, h], it is what descends.
    """
    links = list(walk_down([node for node, _ in roots], call.begin, stop))
    reach = descending(links, call)
    some = dict.fromkeys((node, place) for at, node, place in links if node in reach and chosen(at, node))
    while joined := [edge for edge in some if edge[0].name() == "CatBackward0"]:
        for edge in joined:
            del some[edge]
            some |= dict.fromkeys((node, place) for node, place in edge[0].next_functions if node in reach)
    return list(dict.fromkeys(map(plain, some)))


def _not_of_others(states: list[list[Edge]]) -> list[list[Edge]]:
    """Leave out what a step makes of its other states alone, as what is read off a state before the next call."""
    middle = len(states) // 2
    if len(states) < 3 or not states[middle - 1]:
        return states
    before, some = {node for node, _ in states[middle - 1]}, {node for node, _ in states[middle]}
    places = []
    for place, (node, _) in enumerate(states[middle]):
        others = some - {node}
        ways = {below for _, below, _ in walk_down([node], oldest(before), (others | before).__contains__)}
        if ways & others and not ways & before:
            some = others
        else:
            places.append(place)
    return [[one[k] for k in places] if len(one) == len(states[middle]) else one for one in states]


def _twins(calls: list[Call], k: int, before: list[Edge], roots: list[Any]) -> list[Edge | None]:
    """Find what step k makes: it stands as long after the beginning as in the step before; None where it is not."""
    made = {number_of(node): node for node in at_and_below(roots, calls[k].begin)}
    found: list[Edge | None] = []
    for node, place in before:
        twin = made.get(number_of(node) - calls[k - 1].begin + calls[k].begin)
        is_one = twin is not None and twin.name() == node.name() and (calls[k].made(twin) or calls[k].leads_to([twin]))
        found.append((twin, place) if is_one else None)
    return found
