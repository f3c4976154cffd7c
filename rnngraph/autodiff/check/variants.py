"""Say where gradients that a model computed by hand differ from those of its recorded loss: by which change they agree.

In: the replay of a loss, its own gradients and the claimed ones. Out: sentences. What hand-written backwards forget is
a path of the gradient: the loss is recorded again without it, and named where that gives what was claimed.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.again import with_entries, with_value
from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.check.handed import same
from rnngraph.autodiff.check.mistakes import blocks_wrong, mendings, named
from rnngraph.autodiff.check.replayed import Replay
from rnngraph.autodiff.check.subject import Subject
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MATMUL, TRANSPOSE
from rnngraph.autodiff.tape import Entry

Edge: TypeAlias = tuple[int, int]  # an entry, and the position of one of its inputs, or a step of a block
Change: TypeAlias = Mapping[Edge, Array | None]  # what a rule sees in place of an argument; None: nothing passes
MOST = 32  # timesteps of which each is left out in turn
WORDS = {"h": "the hidden state", "c": "the cell state"}


def where_handed(
    handed: Subject, wrong: Sequence[int], known: Sequence[int], right: Sequence[Array], replay: Replay
) -> Iterator[str]:
    """Say where the wrong ones of claimed gradients, of which the `known` ones were computed by hand, are wrong."""
    names, claimed = handed.names, handed.claimed
    sizes = {size for one in replay.tape.recurrences for size in _sizes(replay, one)}
    fine = [k for k in known if k not in wrong]
    told, left = named(handed, wrong, fine, lambda k: _mistake(claimed[k], right[k], sizes))
    yield from told
    for sentence, change in (*_carried(replay), *_transposed(replay)) if left else ():  # of all at once
        found = _gradients(replay, change)
        if all(same(found[place], claimed[place]) for place in left):
            yield f"{', '.join(names[place] for place in left)}: {sentence}."
            return
    for place in left:
        for sentence, change in _uses(replay, replay.leaves[place].id):
            if same(_gradients(replay, change)[place], claimed[place]):
                yield f"{names[place]}: {sentence}."
                break


def _gradients(replay: Replay, change: Change) -> list[Array]:
    """Give the gradients of a scalar loss whose backward is changed."""
    places = {entry for entry, _ in change}
    tape = with_entries(replay.tape, (_changed(e, change) if e.id in places else e for e in replay.tape.entries))
    return replay.gradients([np.ones(one.shape) for one in replay.values(tape)], tape)


def _changed(entry: Entry, change: Change) -> Entry:
    if isinstance(entry, Block):
        block = copy.copy(entry)
        block.cuts = entry.cuts | {step for i, step in change if i == entry.id}
        return block
    seen = [change.get((entry.id, place), one) for place, one in enumerate(entry.arguments)]
    arguments = [own if one is None else one for one, own in zip(seen, entry.arguments, strict=True)]
    node, vjp = with_value(entry, entry.value, arguments), entry.op.vjp
    assert vjp is not None

    def without(g: Array, node: Node) -> tuple[Any, ...]:
        return tuple([None if one is None else back for one, back in zip(seen, vjp(g, node), strict=False)])

    node.op = replace(entry.op, vjp=without)
    return node


def _sizes(replay: Replay, one: Any) -> Sequence[int]:
    if one.block is not None:
        return (one.block.value.shape[-1],)
    return replay.tape.entry(one.states["h"][0]).value.shape if "h" in one.states else ()


def _mistake(claimed: Array, right: Array, sizes: Collection[int]) -> str:
    """Name what was done to the right gradient."""
    factor = float((claimed * right).sum() / max((right * right).sum(), 1e-300))
    for words, mended in mendings(claimed, factor, sizes):
        if same(mended, right):
            return words
    bound = float(np.abs(claimed).max())
    if same(claimed, np.clip(right, -bound, bound)):
        return f"it is clipped at {bound:.6g}; check it before it is clipped"
    return next(blocks_wrong(claimed.shape, sizes, lambda part: not same(claimed[part], right[part])), "")


def _edges(replay: Replay) -> Iterator[tuple[Entry, Edge, int]]:
    return ((entry, (entry.id, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


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
        return dict.fromkeys(
            edge for (kind, step), some in edges.items() if kind in wanted and step in at for edge in some
        )

    yield "what is carried from step t+1 to t is not added", cut(steps)
    for kind in kinds if len(kinds) > 1 else ():
        by = WORDS.get(kind, f"the state {kind}")
        yield f"what is carried from step t+1 to t by {by} is not added", cut(steps, [kind])
    for step in steps[:MOST]:
        yield f"nothing passes from step {step + 1} to {step}", cut([step])
    for every in range(2, min(len(steps), MOST)):
        ends = [step for step in steps if (step + 1) % every == 0]
        yield f"nothing passes over the ends of windows of {every} steps", cut(ends)


def _transposed(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the change of recurrent weights that are not transposed on the way back."""
    weights = {one.weight for one in replay.tape.recurrences}
    found = {leaf.id for leaf in replay.leaves if str(leaf.name) in weights}
    instead: dict[Edge, Array | None] = {}
    for entry, edge, source in _edges(replay):
        if source in found and entry.op is TRANSPOSE:
            found.add(entry.id)
        elif source in found and entry.op in (MATMUL, DOT):
            value = entry.arguments[edge[1]]
            if value.shape == value.shape[::-1]:
                instead[edge] = value.T
    if instead:
        yield "the recurrent weight is not transposed on the way back, or twice", instead


def _uses(replay: Replay, leaf: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one weight's gradient: states of another step, one step alone, and all but one."""
    uses: dict[int, list[Edge]] = defaultdict(list)
    before: dict[int, int] = {}
    for one in replay.tape.recurrences:
        for kind, ids in one.states.items():
            before |= pairwise([one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)])
    instead: dict[Edge, Array | None] = {}
    for entry, edge, source in _edges(replay):
        if source == leaf and entry.timestep >= 0:
            uses[entry.timestep].append(edge)
        if source in before and entry.op in (MATMUL, DOT):
            after = replay.tape.entry(before[source])
            if entry.timestep == after.timestep:
                instead[edge] = after.value
    yield "it is formed with the state after the step, not with the one before it", instead
    for step in sorted(uses)[:MOST] if len(uses) > 1 else ():
        others = [edge for other, some in uses.items() if other != step for edge in some]
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", dict.fromkeys(others)
        yield f"step {step} is missing from it", dict.fromkeys(uses[step])
