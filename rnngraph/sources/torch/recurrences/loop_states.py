"""What crosses from one step to the next: the state of a loop that no module's call hands out, or what becomes of one.

In: the calls that mark the steps of a loop, in order, and what the graph was walked from. Out: edges, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from rnngraph.sources.torch.autograd.edges import (
    Edge,
    age,
    at_and_below,
    number_of,
    oldest,
    unviewed,
    walk_down,
)
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.recurrences.module_states import CallStates, ends_at, spans, without_weights


def loop_states(calls: list[Call], roots: list[Any], stride: int = 1) -> CallStates:
    """Give the whole state of a loop around a plain module: what crosses from one of its calls to the next.

    `stride` is the number of calls from one to that which goes on from it.

    Every step has the states of the one from which most cross, in one order; what nobody reads in the end comes last.
    """
    states: list[list[Edge]] = []
    for i, bound in enumerate(call.begin for call in calls[1:]):
        near = [edge for call in calls[i + 1 : i + stride + 2] for edge in call.out]
        some = _descendants(calls[i], near, partial(_crosses, bound))
        states.append(sorted(some, key=age, reverse=True))  # the last made first
    states = without_weights(states)
    linked = [bool(some) for some in states]
    for i, call in enumerate(calls[1:-1], 1):  # what is not handed to the next may be to a later one: a grid's edge
        linked[i] = linked[i] or call.leads_to(node for node, _ in calls[-1].out)
    steps, whole = _Steps(calls, roots), range(max(len(states) - stride, 1))  # of the last but one not all is seen
    at = max(whole, key=lambda k: (len(states[k]), k))
    kept = _not_of_others(states[at], states[max(at - 1, 0)])
    own = [steps.as_made(at, edge, states[at]) for edge in kept]
    like = [*own, *kept, *(edge for edge in states[at] if edge not in kept)]
    every = [steps.twins(k, at, like, some) for k, some in enumerate([*states, []])]
    laid = [_laid(steps, k, every[k], len(own), some) for k, some in enumerate(states)]
    rows = [found or row[: len(own)] for found, row in zip([*laid, None], every, strict=True)]
    missing = [[row[place] is None for row in rows] for place in range(len(own))]
    order = sorted(range(len(own)), key=lambda place: (missing[place][-1], sum(missing[place])))
    alike = [[edge for edge in takewhile(bool, (row[place] for place in order)) if edge] for row in rows]
    for k, some in enumerate(states):
        if laid[k] is None or not (linked[k] or k not in whole):
            alike[k] = some
    return CallStates(alike, [False, *map(bool, alike[:-1])])


def _laid(
    steps: _Steps, k: int, row: Sequence[Edge | None], count: int, some: Iterable[Edge]
) -> list[Edge | None] | None:
    """Lay what crosses from step k in the places of its states; None where it does not fit.

    Of two ways that lead down to one thing the shorter is it. The other is the state that has no twin, as a first one,
    which is made without that before it.
    """
    found, taken, new = list(row[:count]), set[int](), list[Edge]()
    ways = [(*steps.nearest(k, edge, row), edge) for edge in some]
    for _, place, edge in sorted(ways, key=lambda way: way[0]):
        if place is None or (place < 2 * count and place % count in taken):
            new.append(edge)
        elif place < 2 * count:  # else it is made of the others
            taken.add(place % count)
    free = [place for place, edge in enumerate(found) if edge is None]
    if new and len(new) != len(free):
        return None
    for place, edge in zip(free, new, strict=False):
        found[place] = edge
    return found


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
        found.append([edge for edge in _Steps(calls[k - 1 :], roots).twins(1, 0, found[-1]) if edge is not None])
    return found


def _crosses(bound: int, consumer: Any, node: Any) -> bool:
    """Whether a step that begins at `bound` reads what was made before."""
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
    return list(dict.fromkeys(map(unviewed, some)))


def _not_of_others(some: list[Edge], before: list[Edge]) -> list[Edge]:
    """Leave out what a step makes of its other states alone, as what is read off a state before the next call."""
    others, old, kept = {node for node, _ in some}, {node for node, _ in before} - {node for node, _ in some}, []
    for edge in some if old else ():
        rest = others - {edge[0]}
        ways = {below for _, below, _ in walk_down([edge[0]], oldest(old), (rest | old).__contains__)}
        if ways & rest and not ways & old:
            others = rest
        else:
            kept.append(edge)
    return kept if old else some


class _Steps:
    """What one step made of a loop, and what stands in its place in another."""

    def __init__(self, calls: list[Call], roots: list[Any]) -> None:
        """List what was made from the first call on."""
        self.calls = calls
        self.made = {number_of(node): node for node in at_and_below(roots, calls[0].begin)}

    def twins(self, k: int, at: int, like: Iterable[Edge], crossing: Collection[Edge] = ()) -> list[Edge | None]:
        """Find what step k makes, or None: it stands as far from the step's begin, or from its end, as in step `at`."""
        call, found = self.calls[k], list[Edge | None]()
        ways = {
            later.begin - before.begin
            for before, later in zip(self.calls[at : at + 2], self.calls[k : k + 2], strict=False)
        }
        for node, place in like:
            some = [self.made.get(number_of(node) + way) for way in sorted(ways)]
            twins = [
                (twin, place)
                for twin in some
                if twin is not None and twin.name() == node.name() and (call.made(twin) or call.leads_to([twin]))
            ]
            found.append(next((twin for twin in twins if twin in crossing), twins[0] if twins else None))
        return found

    def down(self, k: int, edge: Edge) -> tuple[list[Edge], bool]:
        """Give an edge of step k, and as long as it is made of one thing alone that descends from its call, that.

        And tell whether the last also takes from the steps before, as a mask that keeps does.
        """
        begin = self.calls[k].begin
        reach = descending(list(walk_down([edge[0]], begin)), self.calls[k])
        older = set[Any]()
        for node in at_and_below([edge[0]], begin):
            if any(one in older or self._is_before(one, begin) for one, _ in node.next_functions):
                older.add(node)
        found, below = list[Edge](), {edge}
        while len(below) == 1:
            found.append(below.pop())
            made_of = {unviewed(one) for one in found[-1][0].next_functions if one[0] is not None}
            below = {one for one in made_of if one[0] in reach}
            if any(one in older or self._is_before(one, begin) for one, _ in made_of - below):
                return found, True
        return found, False

    def _is_before(self, node: Any, begin: int) -> bool:
        return node is not None and self.calls[0].begin <= number_of(node) < begin

    def nearest(self, k: int, edge: Edge, row: Sequence[Edge | None]) -> tuple[int, int | None]:
        """Give how far down an edge of step k something of a row stands, and its place there."""
        below, _ = self.down(k, edge)
        return next(((far, row.index(one)) for far, one in enumerate(below) if one in row), (0, None))

    def as_made(self, at: int, edge: Edge, states: list[Edge]) -> Edge:
        """Give a state as its own step made it, as the last step does too, and not as the next step changes it.

        What nobody reads in the end is as it is where it is kept by a mask.
        """
        below, kept = self.down(at, edge)
        own = [one for one in below if one == edge or one not in states]
        made = (one for one in own if self.twins(len(self.calls) - 1, at, [one]) != [None])
        return next(made, own[-1] if kept else edge)
