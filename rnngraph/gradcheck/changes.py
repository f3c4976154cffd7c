"""Changes of a backward that people make by mistake: a way of the gradient that is forgotten, or taken wrongly.

In: the replay of what is checked. Out: sentences, with entries of the tape that go back otherwise. A change is the
mistake where it gives the gradients that were claimed.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MATMUL, RELU, SIGMOID, TANH, TRANSPOSE
from rnngraph.autodiff.tape import Entry
from rnngraph.gradcheck.replayed import Change, Replay
from rnngraph.numpy.finding.products import VIEWING

Edge: TypeAlias = tuple[Entry, int]  # an entry, and the position of one of its inputs, or a step of a block
SLOPES: dict[str, Callable[[Array], Array]] = {
    "is left out on the way back": np.ones_like, "is taken to be 1 - y": lambda y: 1 - y,
    "is taken to be y (1 - y)": lambda y: y * (1 - y), "is taken to be 1 - y²": lambda y: 1 - y * y,
}  # fmt: skip
START = -1  # the step of what stands before the first
MOST = 32  # timesteps of which each is left out in turn
WORDS = {"h": "the hidden state", "c": "the cell state"}


def _without(edges: Iterable[Edge]) -> Change:
    """Let nothing pass over some edges."""
    lost: dict[int, tuple[Entry, set[int]]] = {}
    for entry, place in edges:
        lost.setdefault(entry.id, (entry, set()))[1].add(place)
    return {i: _cut(entry, places) for i, (entry, places) in lost.items()}


def _cut(entry: Entry, places: set[int]) -> Entry:
    if isinstance(entry, Block):
        block = copy.copy(entry)
        block.cuts = entry.cuts | places
        return block
    vjp: Any = entry.op.vjp
    return _going_back(entry, lambda g, node: [None if k in places else one for k, one in enumerate(vjp(g, node))])


def _going_back(node: Node, vjp: Callable[[Array, Node], Any]) -> Node:
    """Give a node with another rule."""
    other = with_value(node, node.value, node.arguments)
    other.op = replace(node.op, vjp=vjp)
    return other


def _sloped(node: Node, slope: Array) -> Node:
    return _going_back(node, lambda g, _: (g * slope,))


def _seeing(edge: Edge, value: Array) -> Node:
    """Give a node that sees another value of one of its inputs on the way back."""
    node: Any = edge[0]
    return with_value(node, node.value, [value if k == edge[1] else one for k, one in enumerate(node.arguments)])


def changes(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the mistakes that show in several gradients."""
    yield from _carried(replay)
    yield from _seen_otherwise(replay)
    for op in (TANH, SIGMOID, RELU):
        some = [node for node in replay.nodes if isinstance(node, Node) and node.op is op and node.timestep >= 0]
        for words, slope in SLOPES.items() if some else ():
            yield f"the slope of {op.name} {words}", {node.id: _sloped(node, slope(node.value)) for node in some}


def _edges(replay: Replay) -> Iterator[tuple[Edge, int]]:
    return (((entry, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


class _Carry(NamedTuple):
    """An edge on which a state of a step is carried on; of several uses of it there, which."""

    edge: Edge
    along: str
    kind: str
    step: int
    use: int


def _carried(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, of one use of it, of a step, and of windows."""
    edges = list(_between_steps(replay))
    kinds, runs = sorted({one.kind for one in edges}), sorted({one.along for one in edges})
    parts = {"": edges}
    for kind in kinds if len(kinds) > 1 else ():
        parts[f" by {WORDS.get(kind, kind)}"] = [one for one in edges if one.kind == kind]
    for name in runs if len(runs) > 1 else ():
        parts[f" along {name}"] = [one for one in edges if one.along == name]
    carried, steps = "what is carried from step t+1 to t", sorted({one.step for one in edges} - {START})
    for words, part in parts.items():
        yield f"{carried}{words} is not added", _without(one.edge for one in part if one.step != START)
    for step in steps[:MOST]:
        for words, part in parts.items():
            only = _without(one.edge for one in part if one.step == step)
            yield f"nothing passes from step {step + 1} to {step}{words}", only
    for every in range(2, min(len(steps), MOST)):
        over = _without(one.edge for one in edges if one.step != START and (one.step + 1) % every == 0)
        yield f"nothing passes over the ends of windows of {every} steps", over
    for use in range(max([one.use + 1 for one in edges], default=0)):
        for words, part in parts.items():
            some = [one.edge for one in part if one.use == use]
            through = " or ".join(sorted({_met(replay, edge) for edge in some}))
            yield f"{carried}{words} through {through} is not added", _without(some)


def _between_steps(replay: Replay) -> Iterator[_Carry]:
    """Find all edges that lead from a state to a later step."""
    blocks = [entry for entry in replay.nodes if isinstance(entry, Block)]
    for block in blocks:
        yield from (_Carry((block, step + 1), "", "", step, 0) for step in range(block.steps - 1))
    for one in replay.tape.recurrences if not blocks else ():
        steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        order, ahead = -1 if one.reverse else 1, dict[int, int]()  # ahead: the first step that something leads to
        for entry in reversed(replay.nodes):
            own = order * steps_of[entry.id][1] if entry.id in steps_of else ahead.get(entry.id)
            if own is not None:
                ahead |= {entry.id: own} | {i: min(own, ahead.get(i, own)) for i in entry.inputs}
        steps_of |= {node: (kind, START) for kind, node in one.initial.items()}
        uses = Counter[tuple[str, int]]()
        for edge, source in _edges(replay):
            (kind, step), first = steps_of.get(source, ("", 0)), ahead.get(edge[0].id)
            if kind and first is not None and (step == START or first > order * step):
                yield _Carry(edge, one.name, kind, step, uses[kind, step])
                uses[kind, step] += 1


def _met(replay: Replay, edge: Edge) -> str:
    """Say what a state meets where it is read: a weight by its name, or what else."""
    entry, place = edge
    leaves = [str(replay.tape.entry(i).name or "") for k, i in enumerate(entry.inputs) if k != place]
    return next((leaf.removeprefix("given.") for leaf in leaves if leaf), f"'{entry.op.name}'")


def _seen_otherwise(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the products that see their recurrent weight turned on the way back, or the state of a neighbouring step."""
    named, pairs = {one.weight for one in replay.tape.recurrences}, list[tuple[int, int]]()
    weights = {leaf.id for leaf in replay.leaves if leaf is not None and str(leaf.name) in named}
    for one in replay.tape.recurrences:
        for kind, ids in one.states.items():
            pairs += pairwise([one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)])
    later, before = dict(pairs), {after: state for state, after in pairs}
    turned, above, below = dict[int, Entry](), dict[int, Entry](), dict[int, Entry]()
    for edge, source in _edges(replay):
        entry, step = edge[0], edge[0].timestep
        if source in weights and entry.op is TRANSPOSE:
            weights.add(entry.id)
        if entry.op not in (MATMUL, DOT):
            continue
        value = entry.arguments[edge[1]]
        if source in weights and value.shape == value.shape[::-1]:
            turned[entry.id] = _seeing(edge, value.T)
        elif source in later and step == replay.tape.entry(later[source]).timestep:
            above[entry.id] = _seeing(edge, replay.tape.entry(later[source]).value)
        elif source in before and step == replay.tape.entry(source).timestep:
            other = replay.tape.entry(before[source]).value if before[source] >= 0 else np.zeros_like(value)
            below[entry.id] = _seeing(edge, other)
    yield "the recurrent weight is not transposed on the way back, or twice", turned
    yield "it is formed with the state after the step, not with the one before it", above
    yield "it is formed with the state before the step, not with the one after it", below


def changes_of(replay: Replay, place: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one leaf's gradient: some of its uses, or all others, are left out."""
    leaf: Any = replay.leaves[place]
    steps, places, views = defaultdict[int, list[Edge]](list), defaultdict[str, list[Edge]](list), {leaf.id}
    for edge, source in _edges(replay):
        if source in views and edge[0].op in VIEWING:
            views.add(edge[0].id)
        elif source in views:
            for _, name in edge[0].place[-1:]:
                places[str(name)].append(edge)
            if edge[0].timestep >= 0:
                steps[edge[0].timestep].append(edge)
    for name, some in places.items() if len(places) > 1 else ():
        yield f"what comes back through {name} is missing from it", _without(some)
    for step in sorted(steps)[:MOST] if len(steps) > 1 else ():
        others = [edge for other, some in steps.items() if other != step for edge in some]
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", _without(others)
        yield f"step {step} is missing from it", _without(steps[step])
