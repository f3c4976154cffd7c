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
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.ops import CONCATENATE, INDEX
from rnngraph.autodiff.tape import Tape
from rnngraph.numpy.finding.carried import Found
from rnngraph.numpy.tape import ArrayTape


def put_into_whole(tape: Tape, found: list[Found]) -> bool:
    """Give states that differ in their samples the shape of all samples; tell whether there were any."""
    nodes: list[Node] = tape.entries  # type: ignore[assignment]
    short: dict[int, tuple[Found, int, tuple[Any, ...], int]] = {}  # state -> its step, its place, and the whole
    for one in found:
        axis = one.chain.samples
        if axis is None:
            continue
        rows, batch = _samples(nodes, one, axis)
        there = np.array([np.isin(np.arange(batch), some) for some in rows]).T
        one.there = there if one.direction == "forward" else there[:, ::-1]
        for ids in one.states.values():
            short |= {i: (one, k, (slice(None),) * axis + (rows[k],), batch) for k, i in enumerate(ids)}
        one.initial = {kind: i for kind, i in one.initial.items() if nodes[i].value.shape[axis] == batch}
    kept, moved, whole, views = list[Node](), dict[int, int](), dict[int, int](), dict[tuple[int, int], int]()

    def add(op: Any, inputs: tuple[int, ...], value: Any, requires: bool, options: dict[str, Any]) -> int:
        arguments = tuple([kept[i].value for i in inputs])
        kept.append(Node(len(kept), op, inputs, value, arguments, (), -1, requires, options))
        return len(kept) - 1

    for node in list(nodes) if short else ():
        inputs = []
        for i in node.inputs:
            if i not in short:
                inputs.append(moved[i])
                continue
            one, k, index, _ = short[i]
            reader = one.between.get(node.id, one.chain.steps.get(node.id, k) if node.id in one.inside else k)
            if (i, reader) not in views:
                view = views[i, reader] = add(INDEX, (whole[i],), kept[moved[i]].value, True, {"index": index})
                one.between[-view] = reader
            inputs.append(views[i, reader])
        old, node.id, node.inputs = node.id, len(kept), tuple(inputs)
        moved[old] = node.id
        kept.append(node)
        if old in short:
            one, k, index, batch = short[old]
            shape = list(node.value.shape)
            shape[len(index) - 1] = batch
            base = add(CONSTANT, (), np.zeros(shape, node.value.dtype), False, {})
            value = ASSEMBLE.forward(kept[base].value, node.value, indices=(index,))
            whole[old] = add(ASSEMBLE, (base, node.id), value, True, {"indices": (index,)})
    if short:
        assert isinstance(tape, ArrayTape)
        tape.keep(kept)
        for one in found:
            _renumber(one, moved, whole)
    return bool(short)


def _samples(nodes: Sequence[Node], one: Found, axis: int) -> tuple[list[Any], int]:
    """Tell which samples each step holds: a part of those before it, or these and new ones."""
    ids = one.states["h"]
    rows, count = [np.arange(nodes[ids[0]].value.shape[axis])], nodes[ids[0]].value.shape[axis]
    for before, i in pairwise(ids):
        size, some = nodes[i].value.shape[axis], rows[-1]
        for view in one.seen_through.get(before, ()):
            node = nodes[view]
            if node.op is INDEX:
                length, index = node.arguments[0].shape[axis], node.options["index"]
                some = some if len(some) == length else np.arange(length)
                some = some[index[axis]] if axis < len(index) else some
            elif node.op is CONCATENATE and node.value.shape[axis] > len(some):
                some = np.concatenate([some, np.arange(count, count + node.value.shape[axis] - len(some))])
        rows.append(some if len(some) == size else np.arange(size))
        count = max(count, int(rows[-1].max(initial=-1)) + 1)
    return rows, count


def _renumber(one: Found, moved: dict[int, int], whole: dict[int, int]) -> None:
    """Follow the nodes to their new numbers; the states are the whole ones."""
    chain, views = one.chain, {-i: k for i, k in one.between.items() if i < 0}
    chain.clock = [use._replace(node=moved[use.node]) for use in chain.clock]
    chain.weights, chain.weighed = [moved[i] for i in chain.weights], {moved[i] for i in chain.weighed}
    own = {whole[i]: k for ids in one.states.values() for k, i in enumerate(ids) if i in whole}
    chain.steps = {moved[i]: k for i, k in chain.steps.items()} | own
    one.states = {kind: [whole.get(i, moved[i]) for i in ids] for kind, ids in one.states.items()}
    one.initial = {kind: moved[i] for kind, i in one.initial.items()}
    one.between = {moved[i]: k for i, k in one.between.items() if i >= 0} | views
    one.inside = {moved[i] for i in one.inside} | own.keys()
