"""Say where gradients that a model computed by hand differ from those of its recorded loss: by which change they agree.

In: the replay of a loss, its own gradients and the claimed ones. Out: sentences. What hand-written backwards forget is
a path of the gradient: the loss is recorded again without it, and named where that gives what was claimed.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.again import with_entries, with_value
from rnngraph.autodiff.along import DOT
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.check.handed import same
from rnngraph.autodiff.check.mistakes import blocks_wrong, mistake, named
from rnngraph.autodiff.check.replayed import Replay
from rnngraph.autodiff.check.subject import Subject
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MATMUL, TRANSPOSE
from rnngraph.autodiff.tape import Entry

Edge: TypeAlias = tuple[int, int]  # an entry, and the position of one of its inputs
MOST = 32  # timesteps of which each is left out in turn
WORDS = {"h": "the hidden state", "c": "the cell state"}


@dataclass(frozen=True, slots=True)
class Change:
    """A mistake of a backward: edges that nothing passes, cuts of blocks, what rules see in place of an argument."""

    without: frozenset[Edge] = frozenset()
    cuts: Mapping[int, Collection[int]] = field(default_factory=dict)
    instead: Mapping[Edge, Array] = field(default_factory=dict)


def _gradients(replay: Replay, change: Change) -> list[Array]:
    """Give the gradients of a scalar loss whose backward is changed."""
    tape = with_entries(replay.tape, (_changed(entry, change) for entry in replay.tape.entries))
    return replay.gradients([np.ones(one.shape) for one in replay.values(tape)], tape)


def _changed(entry: Entry, change: Change) -> Entry:
    if isinstance(entry, Block):
        found = copy.copy(entry)
        found.cuts = entry.cuts | set(change.cuts.get(entry.id, ()))
        return found
    edges = [(entry.id, place) for place in range(len(entry.inputs))]
    arguments = [change.instead.get(edge, one) for edge, one in zip(edges, entry.arguments, strict=True)]
    node, vjp = with_value(entry, entry.value, arguments), entry.op.vjp
    if vjp is not None and not change.without.isdisjoint(edges):
        kept = [edge not in change.without for edge in edges]

        def without(g: Array, node: Node) -> tuple[Any, ...]:
            return tuple([one if passes else None for one, passes in zip(vjp(g, node), kept, strict=False)])

        node.op = replace(entry.op, vjp=without)
    return node


def where_handed(handed: Subject, known: Sequence[int], right: Sequence[Array], replay: Replay) -> Iterator[str]:
    """Say where claimed gradients, of which the `known` ones were computed by hand, differ from the right ones."""
    names, claimed = handed.names, handed.claimed
    wrong = [place for place, (one, other) in enumerate(zip(claimed, right, strict=True)) if not same(one, other)]
    if not wrong:
        return
    sizes = {size for one in replay.tape.recurrences for size in _sizes(replay, one)}
    told, left = named(
        names, wrong, [k for k in known if k not in wrong], lambda k: _mistake(claimed[k], right[k], sizes)
    )
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


def _sizes(replay: Replay, one: Any) -> Sequence[int]:
    if one.block is not None:
        return (one.block.value.shape[-1],)
    return replay.tape.entry(one.states["h"][0]).value.shape if "h" in one.states else ()


def _mistake(claimed: Array, right: Array, sizes: Collection[int]) -> str:
    """Name what was done to the right gradient."""
    factor = float((claimed * right).sum() / max((right * right).sum(), 1e-300))
    words = mistake(claimed, factor, lambda mended: not same(mended, right), sizes)
    bound = float(np.abs(claimed).max())
    if not words and same(claimed, np.clip(right, -bound, bound)):
        return f"it is clipped at {bound:.6g}; check it before it is clipped"
    blocks = blocks_wrong(claimed.shape, sizes, lambda part: not same(claimed[part], right[part]))
    return words or next(blocks, "")


def _carried(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the cuts between steps: all of them, those of one state, one of them, and those between windows."""
    edges: dict[tuple[str, int], set[Edge]] = {}
    blocks = {entry.id: range(1, entry.steps) for entry in replay.nodes if isinstance(entry, Block)}
    for one in replay.tape.recurrences if not blocks else ():
        order = -1 if one.reverse else 1
        steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        for entry, edge, source in _edges(replay):
            kind, step = steps_of.get(source, ("", 0))
            if kind and entry.timestep >= 0 and (entry.timestep - step) * order > 0:
                edges.setdefault((kind, step), set()).add(edge)
    steps = sorted({step for _, step in edges} | {p - 1 for some in blocks.values() for p in some})
    kinds = sorted({kind for kind, _ in edges})

    def cut(at: Collection[int], wanted: Collection[str] = kinds) -> Change:
        without = [some for (kind, step), some in edges.items() if kind in wanted and step in at]
        return Change(
            frozenset[Edge]().union(*without), {i: [p for p in some if p - 1 in at] for i, some in blocks.items()}
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


def _edges(replay: Replay) -> Iterator[tuple[Entry, Edge, int]]:
    return ((entry, (entry.id, k), source) for entry in replay.nodes for k, source in enumerate(entry.inputs))


def _transposed(replay: Replay) -> Iterator[tuple[str, Change]]:
    """Give the change of recurrent weights that are not transposed on the way back."""
    weights = {one.weight for one in replay.tape.recurrences}
    found = {leaf.id for leaf in replay.leaves if str(leaf.name) in weights}
    instead: dict[Edge, Array] = {}
    for entry, edge, source in _edges(replay):
        if source in found and entry.op is TRANSPOSE:
            found.add(entry.id)
        elif source in found and entry.op in (MATMUL, DOT):
            value = entry.arguments[edge[1]]
            if value.shape == value.shape[::-1]:
                instead[edge] = value.T
    if instead:
        yield "the recurrent weight is not transposed on the way back, or twice", Change(instead=instead)


def _uses(replay: Replay, leaf: int) -> Iterator[tuple[str, Change]]:
    """Give the changes of one weight's gradient: states of another step, one step alone, and all but one."""
    uses: dict[int, set[Edge]] = {}
    before: dict[int, int] = {}
    for one in replay.tape.recurrences:
        for kind, ids in one.states.items():
            before |= pairwise([one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)])
    instead: dict[Edge, Array] = {}
    for entry, edge, source in _edges(replay):
        if source == leaf and entry.timestep >= 0:
            uses.setdefault(entry.timestep, set()).add(edge)
        if source in before and entry.op in (MATMUL, DOT):
            after = replay.tape.entry(before[source])
            if entry.timestep == after.timestep:
                instead[edge] = after.value
    everywhere = {edge for some in uses.values() for edge in some}
    yield "it is formed with the state after the step, not with the one before it", Change(instead=instead)
    for step in sorted(uses)[:MOST] if len(uses) > 1 else ():
        alone = Change(frozenset(everywhere - uses[step]))
        yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", alone
        yield f"step {step} is missing from it", Change(frozenset(uses[step]))
