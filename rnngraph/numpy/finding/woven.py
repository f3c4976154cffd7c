"""Runs of one cell that take turns along one sequence, as where a state is read two steps back: one recurrence.

In: recurrences. Out: fewer, where several read the places of one array, a list, or what a layer below made, in turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.autodiff.node import Node
from rnngraph.numpy.finding.carried import Found
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.direction import Made, places_of


def weave(nodes: Sequence[Node], found: list[Found], listed: Made) -> list[Found]:
    """Put runs together that take turns."""
    groups: dict[object, list[Found]] = {}
    for one in found:
        groups.setdefault((*one.chain.weights, *one.states, one.direction), []).append(one)
    woven, made = list[Found](), dict(listed)
    for runs in groups.values():
        turns = _turns(nodes, runs, made) if len(runs) > 1 else []
        for one in [_together(turns)] if turns else runs:
            made |= one.made(len(woven))
            woven.append(one)
    return woven


def _turns(nodes: Sequence[Node], runs: list[Found], made: Made) -> list[Found]:
    """Give the runs in the order of their turns; none where they do not take turns."""
    places = [places_of(nodes, one, made)[0] for one in runs]
    for source in places[0]:
        read = [(place, k, run) for run, at in enumerate(places) for k, place in at.get(source, {}).items()]
        read.sort(reverse=runs[0].direction == "reverse")
        order = [run for _, _, run in read[: len(runs)]]
        wanted = [(j // len(runs), order[j % len(runs)]) for j in range(sum(one.time for one in runs))]
        apart = len({place for place, _, _ in read}) == len(read) and len(set(order)) == len(runs)
        if apart and [(k, run) for _, k, run in read] == wanted:
            return [runs[run] for run in order]
    return []


def _together(runs: list[Found]) -> Found:
    count = len(runs)

    def later(times: Sequence[dict[int, int]]) -> dict[int, int]:
        return {i: k * count + turn for turn, some in enumerate(times) for i, k in some.items()}

    first = runs[0]
    chain = Chain(
        sorted(use for one in runs for use in one.chain.clock), first.chain.weights,
        set[int]().union(*(one.chain.weighed for one in runs)), later([one.chain.steps for one in runs]),
    )  # fmt: skip
    states = {
        kind: [runs[k % count].states[kind][k // count] for k in range(sum(one.time for one in runs))]
        for kind in first.states
    }
    inside = set[int]().union(*(one.inside for one in runs))
    starts = frozenset(start for one in runs for start in one.initial.values())
    return Found(
        chain, states, {}, first.units, inside=inside, direction=first.direction, woven_starts=starts
    )  # fmt: skip
