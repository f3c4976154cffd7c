"""Changes of a backward that people make by mistake: a path of the gradient that is forgotten, or taken wrongly.

In: the replay of a loss. Out: sentences, with what a changed backward sees at some edges of the tape. A change is the
mistake where it gives the gradients that were claimed.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from rnngraph.gradcheck.replayed import Replay
from rnngraph.numpy.finding.products import VIEWING

Edge: TypeAlias = tuple[int, int]  # an entry, and the position of one of its inputs, or a step of a block
NOTHING = "nothing passes"


@dataclass(frozen=True, slots=True)
class Slope:
    """What the gradient is multiplied by in place of the right slope."""

    factor: Array


Change: TypeAlias = Mapping[Edge, Array | Slope | str]  # what a rule sees in place of an argument, or what passes
SLOPES: dict[str, Callable[[Array], Array]] = {
    "is left out on the way back": np.ones_like, "is taken to be 1 - y": lambda y: 1 - y,
    "is taken to be y (1 - y)": lambda y: y * (1 - y), "is taken to be 1 - y²": lambda y: 1 - y * y,
}  # fmt: skip
START = -1  # the step of what stands before the first
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
    pairs = zip(seen, entry.arguments, strict=True)
    arguments = [own if isinstance(one, str | Slope) else one for one, own in pairs]
    node, vjp = with_value(entry, entry.value, arguments), entry.op.vjp
    assert vjp is not None

    def otherwise(g: Array, node: Node) -> tuple[Any, ...]:
        backs: Any = zip(seen, vjp(g, node), strict=False)
        backs = [g * one.factor if isinstance(one, Slope) else back for one, back in backs]
        return tuple([None if isinstance(one, str) else back for one, back in zip(seen, backs, strict=False)])

    node.op = replace(entry.op, vjp=otherwise)
    return node


def changes(replay: Replay, weights: Sequence[Entry] = ()) -> Iterator[tuple[str, Change]]:
    """Give the mistakes that show in several gradients; `weights` are what the outputs are weighed by."""
    for k, weight in enumerate(weights if len(weights) > 1 else ()):
        here = [edge for entry, edge, source in _edges(replay) if weight.id in entry.inputs and source != weight.id]
        yield f"the gradient that comes in at output {k} of the forward is not used", _without(here)
    yield from _carried(replay)
    yield from _transposed(replay)
    for op in (TANH, SIGMOID, RELU):
        some = [entry for entry in replay.nodes if entry.op is op and entry.timestep >= 0]
        for words, slope in SLOPES.items() if some else ():
            yield f"the slope of {op.name} {words}", {(entry.id, 0): Slope(slope(entry.value)) for entry in some}


def _edges(replay: Replay) -> Iterator[tuple[Entry, Edge, int]]:
    return ((entry, (entry.id, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


def _carried(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, of one use of it, of a step, and of windows."""
    edges = list(_between_steps(replay))
    parts = {"": edges}
    for attribute, words in (("kind", "by"), ("along", "along")):
        some: dict[str, list[_Carry]] = defaultdict(list)
        for one in edges:
            some[getattr(one, attribute)].append(one)
        if len(some) > 1:
            parts |= {f" {words} {WORDS.get(name, name)}": some[name] for name in sorted(some)}
    carried, steps = "what is carried from step t+1 to t", sorted({one.step for one in edges} - {START})
    for words, part in parts.items():
        yield f"{carried}{words} is not added", _without([one for one in part if one.step != START])
    for step in steps[:MOST]:
        for words, part in parts.items():
            yield (
                f"nothing passes from step {step + 1} to {step}{words}",
                _without([one for one in part if one.step == step]),
            )
    for every in range(2, min(len(steps), MOST)):
        over = _without([one for one in edges if one.step != START and (one.step + 1) % every == 0])
        yield f"nothing passes over the ends of windows of {every} steps", over
    for use in range(max([one.use + 1 for one in edges], default=0)):
        for words, part in parts.items():
            some_use = _without([one for one in part if one.use == use])
            by = sorted({_use_of(replay, edge) for edge in some_use})
            yield f"{carried}{words} through {' or '.join(by)} is not added", some_use


class _Carry(NamedTuple):
    """An edge on which a state of a step is carried on; of several uses of it there, which."""

    edge: Edge
    along: str
    kind: str
    step: int
    use: int


def _between_steps(replay: Replay) -> Iterator[_Carry]:
    """Find all edges that lead from a state to a later step."""
    blocks = [entry for entry in replay.nodes if isinstance(entry, Block)]
    for block in blocks:
        yield from (_Carry((block.id, step + 1), "", "", step, 0) for step in range(block.steps - 1))
    for one in replay.tape.recurrences if not blocks else ():
        steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        order, ahead = -1 if one.reverse else 1, dict[int, int]()  # ahead: the first step that something leads to
        for entry in reversed(replay.nodes):
            own = order * steps_of[entry.id][1] if entry.id in steps_of else ahead.get(entry.id)
            if own is not None:
                ahead |= {entry.id: own} | {i: min(own, ahead.get(i, own)) for i in entry.inputs}
        steps_of |= {node: (kind, START) for kind, node in one.initial.items()}
        uses = Counter[tuple[str, int]]()
        for entry, edge, source in _edges(replay):
            (kind, step), first = steps_of.get(source, ("", 0)), ahead.get(entry.id)
            if kind and first is not None and (step == START or first > order * step):
                yield _Carry(edge, one.name, kind, step, uses[kind, step])
                uses[kind, step] += 1


def _without(some: Iterable[_Carry | Edge]) -> Change:
    return dict.fromkeys([one.edge if isinstance(one, _Carry) else one for one in some], NOTHING)


def _use_of(replay: Replay, edge: Edge) -> str:
    """Say what a state meets where it is read: a weight by its name, or what else."""
    entry = replay.tape.entry(edge[0])
    leaves = [str(replay.tape.entry(i).name or "") for k, i in enumerate(entry.inputs) if k != edge[1]]
    return next((leaf.removeprefix("given.") for leaf in leaves if leaf), f"'{entry.op.name}'")


def _transposed(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the change of recurrent weights that are not transposed on the way back."""
    weights = {one.weight for one in replay.tape.recurrences}
    found = {leaf.id for leaf in replay.leaves if str(leaf.name) in weights}
    instead: dict[Edge, Array | Slope | str] = {}
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
    """Give the changes of one leaf's gradient: states of another step, and some of its uses or all others left out."""
    steps, places = dict[int, list[Edge]](), dict[str, list[Edge]]()
    pairs, views = list[tuple[int, int]](), {leaf}
    for one in replay.tape.recurrences:
        for kind, ids in one.states.items():
            pairs += pairwise([one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)])
    later, before = dict(pairs), {after: state for state, after in pairs}
    instead: dict[str, dict[Edge, Array | Slope | str]] = {"after": {}, "before": {}}
    for entry, edge, source in _edges(replay):
        if source in views and entry.op in VIEWING:
            views.add(entry.id)
        elif source in views:
            for name in [str(entry.place[-1][1])] if entry.place else ():
                places.setdefault(name, []).append(edge)
            if entry.timestep >= 0:
                steps.setdefault(entry.timestep, []).append(edge)
        if entry.op in (MATMUL, DOT):
            if source in later and entry.timestep == replay.tape.entry(later[source]).timestep:
                instead["after"][edge] = replay.tape.entry(later[source]).value
            elif source in before and entry.timestep == replay.tape.entry(source).timestep:
                own = entry.arguments[edge[1]]
                instead["before"][edge] = replay.tape.entry(before[source]).value if before[source] >= 0 else 0 * own
    yield "it is formed with the state after the step, not with the one before it", instead["after"]
    yield "it is formed with the state before the step, not with the one after it", instead["before"]
    for name, some in places.items() if len(places) > 1 else ():
        yield f"what comes back through {name} is missing from it", _without(some)
    for step in sorted(steps)[:MOST] if len(steps) > 1 else ():
        others = [edge for other, some in steps.items() if other != step for edge in some]
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", _without(others)
        yield f"step {step} is missing from it", _without(steps[step])
