"""Write a node as a sum of other nodes with one coefficient a sample: what masks, mixtures and copies come to.

In: routes and a node. Out: a `Combination`. `h + m * (new - h)`, `where(m, new, h)` and `m * new + (1 - m) * h` are the
same combination of `new` and `h`, however they were written; so is a batch that was taken apart and joined again.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.routes import Combination, Routes

LINEAR = frozenset(("add", "subtract", "negate", "multiply", "where", "index", "concatenate"))
CONSTANT = -1  # stands for all that no gradient passes
_MOST = 12  # parts of a combination; a node of more, such as a long sum, stays whole


def combination(routes: Routes, node_id: int) -> Combination:
    """Take a node apart, up to states, as far as its coefficients are the same for all units of a sample."""
    known = routes.combinations
    for one in _behind(routes, node_id):  # inputs first: a step may be a long chain, or use a node many times
        node = routes.tape.nodes[one]
        found = _taken_apart(routes, node) if node.op.name in LINEAR else None
        rows = len(_rows(routes, node.value))
        if found is None or len(found) > _MOST:
            known[one] = {(one, 0): np.ones(rows)}
        else:
            known[one] = {key: np.broadcast_to(value, rows) for key, value in found.items()}
    return known[node_id]


def _behind(routes: Routes, node_id: int) -> list[int]:
    """List the nodes that must be taken apart for one, in tape order, of those that are not yet."""
    waiting, seen = [node_id], {node_id}
    while waiting:
        node = routes.tape.nodes[waiting.pop()]
        if node.op.name not in LINEAR or node.id in routes.combinations:
            continue
        for source in node.inputs:
            if source not in seen and routes.relevant[source] and source not in routes.measured:
                seen.add(source)
                waiting.append(source)
    return sorted(seen - routes.combinations.keys())


def _part(routes: Routes, source: int, within: Node) -> Combination:
    """Give what an input is to the node that reads it."""
    value = routes.tape.nodes[source].value
    rows = value.reshape(1, -1) if value.ndim < within.value.ndim else _rows(routes, value)  # one row: broadcast to all
    if not routes.relevant[source]:
        return {(CONSTANT, 0): rows.any(axis=1).astype(float)}
    if source in routes.measured or value.ndim < within.value.ndim:
        return {(source, 0): np.ones(len(rows))}
    return routes.combinations[source]


def _taken_apart(routes: Routes, node: Node) -> Combination | None:
    name = node.op.name
    if name == "multiply":
        return _multiplied(routes, node)
    if name == "index":
        return _indexed(routes, node)
    parts = [_part(routes, source, node) for source in node.inputs]
    if name == "concatenate":
        return _joined(node, parts) if node.options["axis"] == -node.value.ndim else None
    if name == "where":
        mask = _uniform(routes, np.broadcast_to(node.options["mask"], node.value.shape).astype(float))
        return None if mask is None else _sum(parts, (mask, 1 - mask))
    return _sum(parts, {"add": (1.0, 1.0), "subtract": (1.0, -1.0), "negate": (-1.0,)}[name])


def _multiplied(routes: Routes, node: Node) -> Combination | None:
    for place in (0, 1):
        if not routes.relevant[node.inputs[1 - place]]:
            factor = _uniform(routes, np.broadcast_to(node.arguments[1 - place], node.value.shape))
            if factor is not None:
                return _sum([_part(routes, node.inputs[place], node)], (factor,))
    return None


def _indexed(routes: Routes, node: Node) -> Combination | None:
    """A run of rows, such as `h[:n]`."""
    index = node.options["index"]
    rows = index[0] if len(index) == 1 else None
    if not isinstance(rows, slice) or rows.step not in (None, 1):
        return None
    start, stop, _ = rows.indices(len(node.arguments[0]))
    whole = _part(routes, node.inputs[0], node)
    return {(source, offset + start): value[start:stop] for (source, offset), value in whole.items()}


def _joined(node: Node, parts: list[Combination]) -> Combination:
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
