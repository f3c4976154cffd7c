"""What one call of a module hands on to a later call of the same: the state, however it travels.

In: the calls of one module, in order. Out: the edges of the graph that cross, call by call. A state may be returned and
passed on, kept in an attribute, or changed on its way; only the graph is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable
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
    _leave_out_weights(found)
    linked = [one is not None for one in origins]
    return Chain(_ordered(calls, found), linked, _stride(origins))


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


def _leave_out_weights(found: list[dict[Edge, None]]) -> None:
    """Leave out of the first states what later calls merely use again, as weights of which a buffer is a part."""
    if len(found) < 3 or not len(found[0]) > len(found[1]) > 0:
        return
    names, shapes = {edge[0].name() for edge in found[1]}, {shape_of(edge)[1:] for edge in found[1]}
    alike = sorted(found[0], key=lambda edge: (shape_of(edge)[1:] not in shapes, edge[0].name() not in names))
    found[0] = dict.fromkeys(alike[: len(found[1])])


def _is_of_weights(node: Any) -> bool:
    """Whether something is made of weights alone, as autocast or a parametrization does once for many calls."""
    return all(
        is_parameter(one) or (one.next_functions and all(below is not None for below, _ in one.next_functions))
        for one in all_below([node])
    )


def _ordered(calls: list[Call], found: list[dict[Edge, None]]) -> list[list[Edge]]:
    """Put states in the order in which they are returned, or else were made."""
    places = {k for call, some in zip(calls, found, strict=True) for k, edge in enumerate(call.out) if edge in some}
    crossing = [(call, some) for call, some in zip(calls, found, strict=True) if some]
    if places and all(edge in call.out for call, some in crossing for edge in some):
        return [[call.out[k] for k in sorted(places) if k < len(call.out)] for call in calls]
    width = max((len(some) for some in found), default=0)
    names = next((_kept_names(call, some) for call, some in crossing if len(some) == width), {})
    states = [sorted(some, key=_age) for some in found]
    return [some or _held(call, names) for call, some in zip(calls, states, strict=True)]


def _age(edge: tuple[Any, ...]) -> int:
    return number_of(edge[0])


def _kept_names(call: Call, some: Iterable[Edge]) -> dict[int, None]:
    """Tell which of the tensors that a call leaves behind are states: by their place among them."""
    kept = list(call.values)
    return {kept.index(edge): None for edge in sorted(some, key=_age) if edge in call.values}


def _held(call: Call, places: Iterable[int]) -> list[Edge]:
    """Give the states of the last call, which nothing descends from: those that stand where others stood."""
    kept = list(call.values)
    return [kept[k] for k in places if k < len(kept)]


def crossing(calls: list[Call], roots: list[Any]) -> Chain:
    """Give the whole state of a loop around a plain module: what crosses from one of its calls to the next."""
    states: list[list[Edge]] = []
    for i, bound in enumerate(call.begin for call in calls[1:]):
        last = calls[min(i + 2, len(calls) - 1)]
        links = list(walk_down([node for node, _ in last.out], calls[i].begin))
        reach = _descending(links, calls[i])
        found = dict.fromkeys(
            (node, place)
            for consumer, node, place in links
            if number_of(node) < bound <= number_of(consumer) and node in reach
        )
        some = dict.fromkeys(plain(one) for one in _without_joins(found, reach))
        states.append(sorted(some, key=_age, reverse=True))  # the last made first
    states = _not_of_others(states)
    if len(states) > 1:  # of the last but one not all is seen from the product of the last
        known = _twins(calls, len(calls) - 2, states[-2], roots)
        states[-1] = [edge for edge in known if edge is not None] or states[-1]
    final = _twins(calls, len(calls) - 1, states[-1], roots)
    order = sorted(range(len(final)), key=lambda place: final[place] is None)  # what nobody reads in the end comes last
    states = [[some[k] for k in order] if len(some) == len(order) else some for some in states]
    return Chain([*states, [edge for edge in final if edge is not None]], [False, *map(bool, states)])


def first_stages(calls: list[Call]) -> list[Call]:
    """Give the calls that begin a step of a solver, which calls several times a step: less crosses into those.

    In the first step and the last not all that crosses is seen; there it is taken to be as in the others.
    """
    roots, widths = [node for node, _ in calls[-1].out], list[int]()
    links = list(walk_down(roots, calls[0].begin))
    for bound in (call.begin for call in calls[1:]):
        widths.append(len({(n, place) for c, n, place in links if number_of(n) < bound <= number_of(c)}))
    least = max(min(widths, default=1), 1)  # nothing crosses a cut
    stages = (p for p in range(1, len(calls)) if not len(calls) % p and {*widths[p - 1 :: p]} == {least})
    return calls[:: next(stages, 1)]


def changed_between(
    calls: list[Call], roots: list[Any], barred: Iterable[Call], stride: int = 1
) -> list[list[Edge]]:
    """Give, call by call, what its states become before the next call reads them: kept by a mask, dropped, scaled.

    Nothing is followed through a call in `barred`. Of the last call it is what stands where that of the one before did.
    """
    walls = _spans(barred)
    found: list[list[Edge]] = []
    for call, after in zip(calls, calls[stride:], strict=False):
        reading = [node for node, _ in after.out if after.made(node)]
        links = list(walk_down(reading, call.begin, partial(_ends, call, walls)))
        reach = _descending(links, call)
        read = [(node, place) for consumer, node, place in links if after.made(consumer) and node in reach]
        some = [plain(edge) for edge in _without_joins(dict.fromkeys(read), reach)]
        found.append([edge for edge in dict.fromkeys(some) if call.end <= _age(edge) < after.begin])
    for k in range(len(found), len(calls) if found else 0):
        found.append([edge for edge in _twins(calls, k, found[-1], roots) if edge is not None])
    return found


def joined_after(calls: list[Call], roots: list[Any], others: Container[Edge] = ()) -> list[list[Edge]]:
    """Give, call by call, where what it made joins what stood after the call before, as a sum under way, or `others`.

    Behind the last call much is joined that is no such thing: there only what is made as after the one before.
    """
    begins = [call.begin for call in calls]
    links: list[list[tuple[Any, Any, int]]] = [[] for _ in calls]
    for link in sorted(walk_down(roots, 0 if others else calls[0].begin), key=_age):
        if number_of(link[0]) < calls[0].begin:
            continue
        links[bisect_right(begins, number_of(link[0])) - 1].append(link)
    found: list[list[Edge]] = []
    for before, call, some in zip([None, *calls], calls, links, strict=False):
        reach, old, joins = _descending(some, call), set[Any](), dict[Edge, None]()
        for consumer, node, place in some:
            stood = before is not None and before.end <= number_of(node) < call.begin
            stood &= shape_of((node, place)) != ()
            stood |= (node, place) in others or plain((node, place)) in others
            if (stood or node in old) and consumer in reach and not call.made(consumer):
                joins[consumer, 0] = None
            elif (stood or node in old) and not call.made(consumer):
                old.add(consumer)
        found.append(list(joins))
    kinds = {(node.name(), shape_of((node, 0))) for node, _ in found[-2:][0]}
    found[-1] = [(node, place) for node, place in found[-1] if (node.name(), shape_of((node, place))) in kinds]
    return found


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


def _descending(links: list[tuple[Any, Any, int]], call: Call) -> set[Any]:
    """Give the nodes of a walk that descend from what a call made."""
    reach = {node for _, node, _ in links if call.made(node)}
    for consumer, node, _ in sorted(links, key=_age):
        if node in reach:
            reach.add(consumer)
    return reach


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


def _without_joins(found: dict[Edge, None], reach: set[Any]) -> list[Edge]:
    """Take [x, h] apart: of what is joined, the state is what descends from the call before."""
    some = dict(found)
    while joined := [edge for edge in some if edge[0].name() == "CatBackward0"]:
        for edge in joined:
            del some[edge]
            some |= dict.fromkeys((node, place) for node, place in edge[0].next_functions if node in reach)
    return list(some)


def _twins(calls: list[Call], k: int, before: list[Edge], roots: list[Any]) -> list[Edge | None]:
    """Find what step k makes: it stands as long after the beginning as in the step before; None where it is not."""
    made = {number_of(node): node for node in at_and_below(roots, calls[k].begin)}
    found: list[Edge | None] = []
    for node, place in before:
        twin = made.get(number_of(node) - calls[k - 1].begin + calls[k].begin)
        found.append((twin, place) if twin is not None and twin.name() == node.name() else None)
    return found
