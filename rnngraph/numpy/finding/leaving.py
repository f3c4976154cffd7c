"""Batches that shrink or grow from step to step, as of samples sorted by length: their states get one shape.

In: a tape and recurrences whose states hold fewer samples at some steps. Out: the same tape with each such state put
into zeros of the whole batch, and its part read from there; and a mask of who is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import CONCATENATE, INDEX
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.tape import ArrayTape


def put_into_whole(tape: ArrayTape, found: list[Found]) -> bool:
    """Give states that differ in their samples the shape of all samples; tell whether there were any."""
    ragged = [one for one in found if one.chain.samples is not None]
    if not ragged:
        return False
    short = {i: (one, *place) for one in ragged for i, place in _places(tape.entries, one).items()}  # type: ignore[arg-type]
    moved, whole, views = dict[int, int](), dict[int, int](), dict[tuple[int, int], int]()

    def read(i: int, reader: int) -> int:
        if i not in short:
            return moved[i]
        one, k, index, _ = short[i]
        t = one.chain.steps.get(reader, k) if reader in one.inside else k
        if (i, t) not in views:
            views[i, t] = tape.append(INDEX, (whole[i],), tape.entries[moved[i]].value, options={"index": index})
        return views[i, t]

    for node in tape.emptied():
        old = node.id
        moved[old] = tape.take(node, tuple([read(i, old) for i in node.inputs]))
        if old in short:
            _, _, index, shape = short[old]
            base = tape.nothing(shape, node.value.dtype)
            value = ASSEMBLE.forward(tape.entries[base].value, node.value, indices=(index,))
            whole[old] = tape.append(ASSEMBLE, (base, node.id), value, options={"indices": (index,)})
    for one in found:
        _renumber(one, moved, whole, {view: t for (i, t), view in views.items() if short[i][0] is one})
    return True


def _places(nodes: Sequence[Node], one: Found) -> dict[int, tuple[int, Any, tuple[int, ...]]]:
    """Give the step of every state, its place in the whole one, and the shape of that; and note who is there."""
    axis: Any = one.chain.samples
    rows, batch = _samples(nodes, one, axis)
    there = np.array([np.isin(np.arange(batch), some) for some in rows]).T
    one.there = there if one.direction == "forward" else there[:, ::-1]
    one.initial = {kind: i for kind, i in one.initial.items() if nodes[i].value.shape[axis] == batch}
    found = {}
    for ids in one.states.values():
        for k, i in enumerate(ids):
            shape = nodes[i].value.shape
            found[i] = k, (slice(None),) * axis + (rows[k],), (*shape[:axis], batch, *shape[axis + 1 :])
    return found


def _samples(nodes: Sequence[Node], one: Found, axis: int) -> tuple[list[Any], int]:
    """Tell which samples each step holds: a part of those before it, or these and new ones."""
    ids = one.states["h"]
    count = nodes[ids[0]].value.shape[axis]
    rows = [np.arange(count)]
    for before, i in pairwise(ids):
        some, size = rows[-1], nodes[i].value.shape[axis]
        for view in one.seen_through.get(before, ()):
            node, length = nodes[view], nodes[view].value.shape[axis]
            if node.op is INDEX:
                index, below = node.options["index"], node.arguments[0].shape[axis]
                some = some if len(some) == below else np.arange(below)
                some = some[index[axis]] if axis < len(index) else some
            elif node.op is CONCATENATE and length > len(some):
                some = np.concatenate([some, np.arange(count, count + length - len(some))])
        rows.append(some if len(some) == size else np.arange(size))
        count = max(count, int(rows[-1].max(initial=-1)) + 1)
    return rows, count


def _renumber(one: Found, moved: dict[int, int], whole: dict[int, int], views: dict[int, int]) -> None:
    """Follow the nodes to their new numbers; the states are the whole ones, and what reads them belongs to its step."""
    chain = one.chain
    own = views | {whole[i]: k for ids in one.states.values() for k, i in enumerate(ids) if i in whole}
    chain.clock = [use._replace(node=moved[use.node]) for use in chain.clock]
    chain.weights, chain.weighed = [moved[i] for i in chain.weights], {moved[i] for i in chain.weighed}
    chain.steps = {moved[i]: k for i, k in chain.steps.items()} | own
    one.states = {kind: [whole.get(i, moved[i]) for i in ids] for kind, ids in one.states.items()}
    one.initial = {kind: moved[i] for kind, i in one.initial.items()}
    one.woven_starts = frozenset(moved[i] for i in one.woven_starts)
    one.inside = {moved[i] for i in one.inside} | own.keys()
