"""What crosses from one step to the next: the state of a loop that no module's call hands out, or what becomes of one.

In: the calls that mark the steps of a loop, in order, and what the graph was walked from. Out: edges, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, number_of, oldest, plain, shape_of, walk_down
from rnngraph.sources.torch.finding.chains import Chain, age, ends_at, leave_out_weights, spans
from rnngraph.sources.torch.watching.calls import Call


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
    leave_out_weights(states)
    if len(states) > 1:  # of the last but one not all is seen from the product of the last
        known = _twins(calls, len(calls) - 2, states[-2], roots)
        states[-1] = [edge for edge in known if edge is not None] or states[-1]
    final = _twins(calls, len(calls) - 1, states[-1], roots)
    while None in final and (made_of := _made_of(calls, states, final.index(None))):
        states, final = made_of, _twins(calls, len(calls) - 1, made_of[-1], roots)
    order = sorted(range(len(final)), key=lambda place: final[place] is None)  # what nobody reads in the end comes last
    states = [[some[k] for k in order] if len(some) == len(order) else some for some in states]
    return Chain([*states, [edge for edge in final if edge is not None]], [False, *map(bool, states)])


def changed_between(calls: list[Call], roots: list[Any], barred: Iterable[Call], stride: int = 1) -> list[list[Edge]]:
    """Give, call by call, what its states become before the next call reads them: kept by a mask, dropped, scaled.

    Nothing is followed through a call in `barred`. Of the last call it is what stands where that of the one before did.
    """
    walls = spans(barred)
    found: list[list[Edge]] = []
    for call, after in zip(calls, calls[stride:], strict=False):
        reading = [edge for edge in after.out if after.made(edge[0])]
        some = _descendants(call, reading, partial(_takes, after), partial(ends_at, call, walls))
        found.append([edge for edge in some if call.end <= age(edge) < after.begin])
    for k in range(len(found), len(calls) if found else 0):
        found.append([edge for edge in _twins(calls, k, found[-1], roots) if edge is not None])
    return found


def _crosses(bound: int, consumer: Any, node: Any) -> bool:
    return number_of(node) < bound <= number_of(consumer)


def _takes(call: Call, consumer: Any, _: Any) -> bool:
    return call.made(consumer)


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


def _made_of(calls: list[Call], states: list[list[Edge]], place: int) -> list[list[Edge]]:
    """Take for a state what it was made of alone, as where the next step begins with a decay; else nothing."""
    found = []
    for call, some in zip(calls, states, strict=False):
        one = _made_of_one(call, some[place], calls[0].begin) if place < len(some) else None
        if one is None or one in some:
            return []
        found.append([*some[:place], one, *some[place + 1 :]])
    return found


def _made_of_one(call: Call, edge: Edge, first: int) -> Edge | None:
    """Find the nearest edge of the same shape, made since a call, of which alone one is made of all that descends."""
    own, older = descending(list(walk_down([edge[0]], call.begin)), call), set[Any]()

    def is_older(node: Any) -> bool:
        return node is not None and (node in older or first <= number_of(node) < call.begin)

    for node in at_and_below([edge[0]], call.begin):
        if any(is_older(one) for one, _ in node.next_functions):  # it comes from steps before
            older.add(node)
    passed, behind = False, {edge}
    while not passed or len(behind) > 1 or shape_of(min(behind, key=age)) != shape_of(edge):
        at = max(behind, key=age)
        below = {tuple(one) for one in at[0].next_functions if one[0] in own or is_older(one[0])}
        if call.made(at[0]) or not below or not all(node in own for node, _ in below):
            return None
        passed, behind = True, (behind - {at}) | below
    return behind.pop()


def _twins(calls: list[Call], k: int, before: list[Edge], roots: list[Any]) -> list[Edge | None]:
    """Find what step k makes: it stands as long after the beginning as in the step before; None where it is not."""
    made = {number_of(node): node for node in at_and_below(roots, calls[k].begin)}
    found: list[Edge | None] = []
    for node, place in before:
        twin = made.get(number_of(node) - calls[k - 1].begin + calls[k].begin)
        is_one = twin is not None and twin.name() == node.name() and (calls[k].made(twin) or calls[k].leads_to([twin]))
        found.append((twin, place) if is_one else None)
    return found
