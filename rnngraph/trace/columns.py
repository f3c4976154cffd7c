"""Turn a tape's nodes into the columns of a `GraphTrace`, and find where numbers stopped being finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Node, Tape
from rnngraph.trace.model import GraphTrace, Magnitudes

Key = TypeVar("Key")


def graph_columns(tape: Tape, grad: Magnitudes, *, forward: int, backward: int) -> GraphTrace:
    """Build the columns; `grad` holds a magnitude a node, `forward` and `backward` the first non-finite nodes."""
    nodes = tape.nodes
    ops: dict[str, int] = {}
    labels: list[str] = []
    scopes: dict[str, int] = {}
    paths: dict[tuple[object, ...], int] = {}
    shapes: dict[tuple[int, ...], int] = {}
    columns = np.empty((4, len(nodes)), dtype=np.int64)
    offsets = np.zeros(len(nodes) + 1, dtype=np.int64)
    inputs: list[int] = []
    for row, node in enumerate(nodes):
        if node.op.name not in ops:
            labels.append(node.op.label)
        scope = node.scope
        t = -1
        if scope and scope[-1][0] == "t":
            t, scope = int(scope[-1][1]), scope[:-1]
        path = paths.get(scope)
        if path is None:
            text = "/".join(str(key) for kind, key in scope if kind != "t")
            path = paths[scope] = _number(scopes, text)
            t = node.timestep
        columns[:, row] = (_number(ops, node.op.name), path, _number(shapes, node.value.shape), t)
        inputs.extend(node.inputs)
        offsets[row + 1] = len(inputs)
    return GraphTrace(
        ops=tuple(ops), labels=tuple(labels), scopes=tuple(scopes), shapes=tuple(str(shape) for shape in shapes),
        names={str(node.id): node.name for node in nodes if node.name},
        op=columns[0].copy(), scope=columns[1].copy(), shape=columns[2].copy(), timestep=columns[3].copy(),
        inputs=np.array(inputs, dtype=np.int64), offsets=offsets, grad=grad,
        first_nonfinite_forward=forward, first_nonfinite_backward=backward,
    )  # fmt: skip


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
