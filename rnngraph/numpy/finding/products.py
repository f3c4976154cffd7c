"""Which nodes multiply by something that may be a weight, and which values are the same value computed again.

In: the nodes of a tape. Out: a number a value, and the uses of every weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnngraph.autodiff.along import ASSEMBLE, BROADCAST, CAST, DOT, EINSUM
from rnngraph.autodiff.node import CONSTANT, INPUT, PARAMETER, Node
from rnngraph.autodiff.ops import INDEX, MATMUL, MULTIPLY, RESHAPE, TRANSPOSE

LEAVES = frozenset((INPUT, PARAMETER))
PASSING = frozenset((TRANSPOSE, RESHAPE, CAST, BROADCAST))
_VIEWING = PASSING | {INDEX}
_ALONG = frozenset((MATMUL, DOT, EINSUM))
_MULTIPLYING = _ALONG | {MULTIPLY}
FEW = 12  # what a factor such as exp(-exp(a) * dt) is made of
Key: TypeAlias = tuple[bool, int, int]  # element by element, side of the weight, number of the weight


class Use(NamedTuple):
    """One product: which input is the weight, which the state, and the axis of the state that is summed away."""

    node: int
    weight: int
    state: int
    axis: int | None


def number_values(nodes: Sequence[Node], *, alike: bool = False) -> list[int]:
    """Number the values: the same op on the same values is the same value, wherever it is computed again.

    Where `alike` constants of one shape count as one, so that a weight that differs by the step's number is one weight.
    """
    table: dict[Any, int] = {}
    found: list[int] = []
    for node in nodes:
        inputs: Any = node.inputs
        key: Any = node.id
        if inputs:
            same = found[inputs[0]] if len(inputs) == 1 else tuple([found[i] for i in inputs])
            key = (node.op, same, _frozen(tuple(node.options.values()))) if node.options else (node.op, same)
        elif node.op is CONSTANT and alike:
            key = node.value.shape
        elif node.op is CONSTANT and node.value.size == 1:
            key = node.value.item(), node.value.shape
        found.append(table.setdefault(key, len(table)))
    return found


def _frozen(x: Any) -> Any:
    kind = type(x)
    if kind is tuple or kind is list:
        return tuple([one if type(one) is int else _frozen(one) for one in x])
    if kind is slice:
        return slice, x.start, x.stop, x.step
    return id(x) if kind is np.ndarray else x


def is_leaf_like(nodes: Sequence[Node], node: Node) -> bool:
    """Tell a leaf, or a view of one."""
    while node.op in _VIEWING:
        node = nodes[node.inputs[0]]
    return node.op in LEAVES


def is_given(nodes: Sequence[Node], i: int) -> bool:
    """Tell what is computed from leaves alone, by a few operations of which none is a product along an axis."""
    seen, waiting = {i}, [i]
    while waiting and len(seen) < FEW:
        node = nodes[waiting.pop()]
        if node.op in _ALONG or node.op is ASSEMBLE:
            return False
        below = set(node.inputs) - seen
        seen |= below
        waiting += below
    return not waiting


def products_of(node: Node) -> Sequence[tuple[int, int, int | None]]:
    """Give the ways to see a node as a weight times a state: the inputs, and the axis that is summed away."""
    if node.op is MATMUL:
        left, right = node.arguments
        return [(0, 1, right.ndim - 2), (1, 0, left.ndim - 1)]
    if node.op is DOT:
        left, right = node.arguments
        return [(0, 1, 0)] * (right.ndim == 1) + [(1, 0, 0)] * (left.ndim == 1)
    if node.op is EINSUM and len(node.inputs) == 2:
        operands, out = node.options["operands"], node.options["out"]
        summed = [letter for letter in operands[0] if letter in operands[1] and letter not in out]
        if len(summed) == 1:
            return [(0, 1, operands[1].index(summed[0])), (1, 0, operands[0].index(summed[0]))]
    return [(0, 1, None), (1, 0, None)] if node.op is MULTIPLY else []


def find_uses(nodes: Sequence[Node], numbers: Sequence[int]) -> dict[Key, list[Use]]:
    """Collect the products of every weight that multiplies, more than once, what came out of a product."""
    often = Counter([numbers[i] for node in nodes if node.op in _MULTIPLYING for i in node.inputs])
    found: dict[Key, list[Use]] = {}
    after = bytearray(len(nodes))  # whether a product leads to a node
    plausible: set[Key] = set()
    for node in nodes:
        for i in node.inputs:
            if after[i]:
                after[node.id] = 1
                break
        if node.op not in _MULTIPLYING:
            continue
        for weight, state, axis in products_of(node):
            i = node.inputs[weight]
            if not nodes[i].requires:
                continue
            if axis is not None:
                after[node.id] = 1
            if often[numbers[i]] > 1 and (axis is not None or is_given(nodes, i)):
                after[node.id] = 1
                key = axis is None, weight, numbers[i]
                found.setdefault(key, []).append(Use(node.id, weight, state, axis))
                if after[node.inputs[state]]:
                    plausible.add(key)
    return {key: found[key] for key in found if key in plausible and len(found[key]) > 1}
