"""Write a node as a sum of other nodes with one coefficient a sample: what masks, mixtures and copies come to.

In: routes and a node. Out: a `Combination`. `h + m * (new - h)`, `where(m, new, h)` and `m * new + (1 - m) * h` are the
same combination of `new` and `h`, however they were written; so is a batch that was taken apart and joined again.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.routes import Routes

# By node id and row offset, a coefficient a row: row n of the sum holds coefficient[n] times the node's row n + offset.
Combination: TypeAlias = dict[tuple[int, int], Floats]
CONSTANT = -1  # stands for all that no gradient passes
LINEAR = frozenset(("add", "subtract", "negate", "multiply", "where", "index", "concatenate"))


def combination(routes: Routes, node_id: int, *, within: Node | None = None) -> Combination:
    """Take a node apart, up to states, as far as its coefficients are the same for all units of a sample.

    `within` is the node that reads it, where it is part of another combination.
    """
    node = routes.tape.nodes[node_id]
    if within is not None and node.value.ndim < within.value.ndim:  # broadcast to all samples
        rows = node.value.reshape(1, -1)
    else:
        rows = _rows(routes, node.value)
    if not routes.relevant[node_id]:
        return {(CONSTANT, 0): rows.any(axis=1).astype(float)}
    if node.op.name in LINEAR and (within is None or node_id not in routes.measured):
        found = _taken_apart(routes, node)
        if found is not None:
            return {key: np.broadcast_to(value, len(rows)) for key, value in found.items()}
    return {(node_id, 0): np.ones(len(rows))}


def _taken_apart(routes: Routes, node: Node) -> Combination | None:
    name = node.op.name
    if name == "multiply":
        return _multiplied(routes, node)
    if name == "index":
        return _indexed(routes, node)
    parts = [combination(routes, source, within=node) for source in node.inputs]
    if name == "concatenate":
        return _joined(routes, node, parts) if node.options["axis"] == -node.value.ndim else None
    if name == "where":
        mask = _uniform(routes, np.broadcast_to(node.options["mask"], node.value.shape).astype(float))
        return None if mask is None else _sum(parts, (mask, 1 - mask))
    return _sum(parts, {"add": (1.0, 1.0), "subtract": (1.0, -1.0), "negate": (-1.0,)}[name])


def _multiplied(routes: Routes, node: Node) -> Combination | None:
    for place in (0, 1):
        if not routes.relevant[node.inputs[1 - place]]:
            factor = _uniform(routes, np.broadcast_to(node.arguments[1 - place], node.value.shape))
            if factor is not None:
                return _sum([combination(routes, node.inputs[place], within=node)], (factor,))
    return None


def _indexed(routes: Routes, node: Node) -> Combination | None:
    """A run of rows, such as `h[:n]`."""
    index = node.options["index"]
    rows = index[0] if len(index) == 1 else None
    if not isinstance(rows, slice) or rows.step not in (None, 1):
        return None
    start, stop, _ = rows.indices(len(node.arguments[0]))
    whole = combination(routes, node.inputs[0], within=node)
    return {(source, offset + start): value[start:stop] for (source, offset), value in whole.items()}


def _joined(routes: Routes, node: Node, parts: list[Combination]) -> Combination:
    total: Combination = {}
    start = 0
    for argument, part in zip(node.arguments, parts, strict=True):
        for (source, offset), value in part.items():
            key = source, offset - start if source != CONSTANT else 0
            whole = total.setdefault(key, np.zeros(len(node.value)))
            whole[start : start + len(argument)] += value
        start += len(argument)
    return total


def _sum(parts: list[Combination], factors: tuple[Floats | float, ...]) -> Combination:
    total: Combination = {}
    for part, factor in zip(parts, factors, strict=True):
        for key, value in part.items():
            total[key] = total.get(key, 0.0) + value * factor
    return total


def _uniform(routes: Routes, array: Array) -> Floats | None:
    """Give the one value that a sample holds, (N,); None where a sample holds several."""
    rows = _rows(routes, array)
    return np.asarray(rows[:, 0], dtype=float) if (rows == rows[:, :1]).all() else None


def _rows(routes: Routes, array: Array) -> Array:
    """See an array sample by sample; a state without a batch is one sample."""
    return (
        array.reshape(len(array), -1) if array.ndim > 1 or (array.ndim and routes.batch > 1) else array.reshape(1, -1)
    )
