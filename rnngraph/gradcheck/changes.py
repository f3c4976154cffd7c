"""Changes of a backward that people make by mistake: a path of the gradient that is forgotten, or taken wrongly.

In: the replay of a loss. Out: sentences, with what a changed backward sees at some edges of the tape. A change is the
mistake where it gives the gradients that were claimed.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MATMUL, RELU, SIGMOID, TANH, TRANSPOSE
from rnngraph.autodiff.tape import Entry
from rnngraph.gradcheck.replayed import Replay

Edge: TypeAlias = tuple[int, int]  # an entry, and the position of one of its inputs, or a step of a block
NOTHING, ALL = "nothing passes", "everything passes, as through a slope of 1"
Change: TypeAlias = Mapping[Edge, Array | str]  # what a rule sees in place of an argument, or what passes
MOST = 32  # timesteps of which each is left out in turn
WORDS = {"h": "the hidden state", "c": "the cell state"}


def changed(entries: Iterable[Entry], change: Change) -> Iterator[Entry]:
    """Give the entries with their backward changed."""
    places = {entry for entry, _ in change}
    return (_changed(entry, change) if entry.id in places else entry for entry in entries)


def _changed(entry: Entry, change: Change) -> Entry:
    if isinstance(entry, Block):
        block = copy.copy(entry)
        block.cuts = entry.cuts | {step for i, step in change if i == entry.id}
        return block
    seen = [change.get((entry.id, place), one) for place, one in enumerate(entry.arguments)]
    arguments = [own if isinstance(one, str) else one for one, own in zip(seen, entry.arguments, strict=True)]
    node, vjp = with_value(entry, entry.value, arguments), entry.op.vjp
    assert vjp is not None

    def otherwise(g: Array, node: Node) -> tuple[Any, ...]:
        backs = zip(seen, vjp(g, node), strict=False)
        return tuple([back if not isinstance(one, str) else g if one == ALL else None for one, back in backs])

    node.op = replace(entry.op, vjp=otherwise)
    return node


def changes(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the mistakes that show in several gradients."""
    yield from _carried(replay)
    yield from _transposed(replay)
    for op in (TANH, SIGMOID, RELU):
        some = {(entry.id, 0): ALL for entry in replay.nodes if entry.op is op and entry.timestep >= 0}
        if some:
            yield f"the slope of {op.name} is left out on the way back", some


def _edges(replay: Replay) -> Iterator[tuple[Entry, Edge, int]]:
    return ((entry, (entry.id, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


def _without(edges: Iterable[Edge]) -> Change:
    return dict.fromkeys(edges, NOTHING)


def _carried(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, one of them, and those between windows."""
    edges: dict[tuple[str, int], list[Edge]] = defaultdict(list)  # by the state and the step that is passed on
    for block in replay.nodes:
        for step in range(block.steps - 1) if isinstance(block, Block) else ():
            edges["", step].append((block.id, step + 1))
    for one in replay.tape.recurrences if not edges else ():
        order = -1 if one.reverse else 1
        steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        for entry, edge, source in _edges(replay):
            kind, step = steps_of.get(source, ("", 0))
            if kind and entry.timestep >= 0 and (entry.timestep - step) * order > 0:
                edges[kind, step].append(edge)
    kinds, steps = sorted({kind for kind, _ in edges}), sorted({step for _, step in edges})

    def cut(at: Collection[int], wanted: Collection[str] = kinds) -> Change:
        return _without(edge for (kind, step), some in edges.items() if kind in wanted and step in at for edge in some)

    yield "what is carried from step t+1 to t is not added", cut(steps)
    for kind in kinds if len(kinds) > 1 else ():
        by = WORDS.get(kind, f"the state {kind}")
        yield f"what is carried from step t+1 to t by {by} is not added", cut(steps, [kind])
    for step in steps[:MOST]:
        yield f"nothing passes from step {step + 1} to {step}", cut([step])
        for kind in kinds if len(kinds) > 1 else ():
            yield f"nothing passes from step {step + 1} to {step} by {WORDS.get(kind, kind)}", cut([step], [kind])
    for every in range(2, min(len(steps), MOST)):
        ends = [step for step in steps if (step + 1) % every == 0]
        yield f"nothing passes over the ends of windows of {every} steps", cut(ends)


def _transposed(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the change of recurrent weights that are not transposed on the way back."""
    weights = {one.weight for one in replay.tape.recurrences}
    found = {leaf.id for leaf in replay.leaves if str(leaf.name) in weights}
    instead: dict[Edge, Array | str] = {}
    for entry, edge, source in _edges(replay):
        if source in found and entry.op is TRANSPOSE:
            found.add(entry.id)
        elif source in found and entry.op in (MATMUL, DOT):
            value = entry.arguments[edge[1]]
            if value.shape == value.shape[::-1]:
                instead[edge] = value.T
    if instead:
        yield "the recurrent weight is not transposed on the way back, or twice", instead


def uses(replay: Replay, leaf: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one weight's gradient: states of another step, one step alone, and all but one."""
    used: dict[int, list[Edge]] = defaultdict(list)
    before: dict[int, int] = {}
    for one in replay.tape.recurrences:
        for kind, ids in one.states.items():
            before |= pairwise([one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)])
    instead: dict[Edge, Array | str] = {}
    for entry, edge, source in _edges(replay):
        if source == leaf and entry.timestep >= 0:
            used[entry.timestep].append(edge)
        if source in before and entry.op in (MATMUL, DOT):
            after = replay.tape.entry(before[source])
            if entry.timestep == after.timestep:
                instead[edge] = after.value
    yield "it is formed with the state after the step, not with the one before it", instead
    for step in sorted(used)[:MOST] if len(used) > 1 else ():
        others = [edge for other, some in used.items() if other != step for edge in some]
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", _without(others)
        yield f"step {step} is missing from it", _without(used[step])
