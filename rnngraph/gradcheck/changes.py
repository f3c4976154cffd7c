"""Changes of a backward that people make by mistake: a way of the gradient that is forgotten, or taken wrongly.

In: the replay of what is checked. Out: sentences, with entries of the tape that go back otherwise. A change is the
mistake where it gives the gradients that were claimed.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.tape import Entry
from rnngraph.gradcheck.replayed import Change, Replay
from rnngraph.gradcheck.roles import WORDS, Edge, Roles
from rnngraph.gradcheck.slips import CARRIED, handing, of_slopes, of_ways, overwritten
from rnngraph.numpy.finding.products import VIEWING

START = -1  # the step of what stands before the first
MOST = 32  # timesteps of which each is left out in turn


def _without(edges: Iterable[Edge]) -> Change:
    """Let nothing pass over some edges."""
    lost = dict[int, Entry]()
    for entry, place in edges:
        lost[entry.id] = _cut(lost.get(entry.id, entry), place)
    return lost


def _cut(entry: Entry, place: int) -> Entry:
    if not isinstance(entry, Block):
        return handing(entry, place, lambda g, rule: None)
    block = copy.copy(entry)
    block.cuts = entry.cuts | {place}
    return block


def changes(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the mistakes that show in several gradients."""
    roles, carried = Roles(replay), list(between_steps(replay))
    yield from _carried(carried)
    yield from of_ways(roles, {roles.way(one.edge) for one in carried})
    yield from of_slopes(roles)
    yield "every step sees the last state: the array is overwritten in place", overwritten(roles)
    steps = [entry.timestep for entry in replay.nodes if entry.timestep >= 0]
    for step in sorted({min(steps), max(steps)}) if steps else ():
        inside = [(entry, k) for entry in replay.nodes if entry.timestep == step for k in range(len(entry.inputs))]
        yield f"step {step} is missing from it", _without(inside)


class Carry(NamedTuple):
    """An edge on which a state of a step is carried on."""

    edge: Edge
    along: str
    kind: str
    step: int


def _carried(edges: Sequence[Carry]) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, of a step, and of windows."""
    kinds, runs = sorted({one.kind for one in edges}), sorted({one.along for one in edges})
    parts = {"": edges}
    for kind in kinds if len(kinds) > 1 else ():
        parts[f" by {WORDS.get(kind, kind)}"] = [one for one in edges if one.kind == kind]
    for name in runs if len(runs) > 1 else ():
        parts[f" along {name}"] = [one for one in edges if one.along == name]
    steps = sorted({one.step for one in edges} - {START})
    for words, part in parts.items():
        yield f"{CARRIED}{words} is not added", _without(one.edge for one in part if one.step != START)
    for step in steps[:MOST]:
        for words, part in parts.items():
            only = _without(one.edge for one in part if one.step == step)
            yield f"nothing passes from step {step + 1} to {step}{words}", only
    for every in range(2, min(len(steps), MOST)):
        over = _without(one.edge for one in edges if one.step != START and (one.step + 1) % every == 0)
        yield f"nothing passes over the ends of windows of {every} steps", over


def between_steps(replay: Replay) -> Iterator[Carry]:
    """Find all edges that lead from a state to a later step."""
    blocks = [entry for entry in replay.nodes if isinstance(entry, Block)]
    for block in blocks:
        yield from (Carry((block, step + 1), "", "", step) for step in range(block.steps - 1))
    for one in replay.tape.recurrences if not blocks else ():
        steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        order, ahead = -1 if one.reverse else 1, dict[int, int]()  # ahead: the first step that something leads to
        for entry in reversed(replay.nodes):
            own = order * steps_of[entry.id][1] if entry.id in steps_of else ahead.get(entry.id)
            if own is not None:
                ahead |= {entry.id: own} | {i: min(own, ahead.get(i, own)) for i in entry.inputs}
        steps_of |= {node: (kind, START) for kind, node in one.initial.items()}
        for edge, source in _edges(replay):
            (kind, step), first = steps_of.get(source, ("", 0)), ahead.get(edge[0].id)
            if kind and first is not None and (step == START or first > order * step):
                yield Carry(edge, one.name, kind, step)


def _edges(replay: Replay) -> Iterator[tuple[Edge, int]]:
    return (((entry, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


def changes_of(replay: Replay, place: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one leaf's gradient: its uses in one step, or all others, are left out."""
    leaf: Any = replay.leaves[place]
    steps, views = defaultdict[int, list[Edge]](list), {leaf.id}
    for edge, source in _edges(replay):
        if source in views and edge[0].op in VIEWING:
            views.add(edge[0].id)
        elif source in views and edge[0].timestep >= 0:
            steps[edge[0].timestep].append(edge)
    for step in sorted(steps)[:MOST] if len(steps) > 1 else ():
        others = [edge for other, some in steps.items() if other != step for edge in some]
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", _without(others)
        yield f"step {step} is missing from it", _without(steps[step])
