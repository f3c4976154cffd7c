"""Turn a tape's nodes into the columns of a `GraphTrace`, and find where numbers stopped being finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node, Scope
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Integers, Magnitudes
from rnngraph.trace.model import GraphTrace

Key = TypeVar("Key")


def graph_columns(tape: Tape, grad: Magnitudes, *, forward: int, backward: int) -> GraphTrace:
    """Build the columns; `grad` holds a magnitude a node, `forward` and `backward` the first non-finite nodes."""
    nodes = tape.nodes
    ops: dict[int, int] = {}
    places: dict[Scope, int] = {}
    shapes: dict[tuple[int, ...], int] = {}
    by_id = {id(node.op): node.op for node in nodes}
    names: dict[str, int] = {}
    labels = []
    for key, op in by_id.items():
        if op.name not in names:
            labels.append(op.label)
        ops[key] = _number(names, op.name)
    offsets = np.zeros(len(nodes) + 1, dtype=np.int64)
    np.cumsum([len(node.inputs) for node in nodes], out=offsets[1:])
    return GraphTrace(
        ops=tuple(names), labels=tuple(labels), roles=("",) * len(names), formulas=("",) * len(names),
        scope=_column([_number(places, node.place) for node in nodes]),
        scopes=tuple("/".join(str(key) for _, key in place) for place in places),
        shape=_column([_number(shapes, node.value.shape) for node in nodes]),
        shapes=tuple(str(shape) for shape in shapes),
        names={str(node.id): node.name for node in nodes if node.name},
        op=_column([ops[id(node.op)] for node in nodes]), timestep=_column([node.timestep for node in nodes]),
        inputs=_column([source for node in nodes for source in node.inputs]), offsets=offsets, grad=grad,
        first_nonfinite_forward=forward, first_nonfinite_backward=backward,
    )  # fmt: skip


def _column(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def _number(table: dict[Key, int], key: Key) -> int:
    found = table.get(key)
    if found is None:
        found = table[key] = len(table)
    return found


def first_nonfinite_forward(tape: Tape) -> int:
    """Find the first node, in tape order, that is not finite although all of its inputs are; -1 where there is none."""
    broken: set[int] = set()
    for node in tape.nodes:
        if not _finite(node):
            if not broken.intersection(node.inputs):
                return node.id
            broken.add(node.id)
    return -1


def first_nonfinite_backward(tape: Tape, starts: Mapping[int, Array]) -> int:
    """Find the node whose vjp first made a non-finite gradient of a finite one; -1 where there is none.

    Walks the tape again, so it is called only once something non-finite was measured.
    """
    for step in sweep(tape, starts):
        if not np.isfinite(step.gradient).all():
            for consumer, contribution in zip(step.consumers, step.contributions, strict=True):
                finite = not isinstance(contribution, np.ndarray) or bool(np.isfinite(contribution).all())
                if consumer is not None and not finite:
                    return consumer.id
            # Finite parts of which the sum is not, or a factored part: the last consumer completed it.
            last = step.consumers[-1]
            return step.node.id if last is None else last.id
    return -1


def _finite(node: Node) -> bool:
    return node.value.dtype.kind != "f" or bool(np.isfinite(node.value).all())
