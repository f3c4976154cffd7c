"""Which nodes multiply by something that may be a weight, and which values are the same value computed again.

In: the nodes of a tape. Out: a number a value, and the uses of every weight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import permutations
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnngraph.autodiff.along import ASSEMBLE, BROADCAST, CAST, DOT, EINSUM
from rnngraph.autodiff.node import CONSTANT, INPUT, PARAMETER, Node, Op
from rnngraph.autodiff.ops import CONCATENATE, INDEX, MATMUL, RESHAPE, STACK, TRANSPOSE

LEAVES = frozenset((INPUT, PARAMETER))
PASSING = frozenset((TRANSPOSE, RESHAPE, CAST, BROADCAST))
JOINING = frozenset((CONCATENATE, STACK, ASSEMBLE))
GIVEN = LEAVES | {CONSTANT}
PRODUCTS = frozenset((MATMUL, DOT, EINSUM))  # along an axis
VIEWING = PASSING | {INDEX}
# The places of the weight and the state, and the weight's number, or the numbers in it where it is no leaf.
Key: TypeAlias = tuple[tuple[int, ...], Any]


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
    number_of = found.__getitem__
    for node in nodes:
        inputs: Any = node.inputs
        key: Any = node.id
        if inputs:
            key = node.op, *map(number_of, inputs)
            if node.options:
                key = key, *map(frozen, node.options.values())
        elif node.op is CONSTANT and alike:
            key = node.value.shape
        elif node.op is CONSTANT and node.value.size == 1:
            key = node.value.item(), node.value.shape
        found.append(table.setdefault(key, len(table)))
    return found


def frozen(x: Any) -> Any:
    """Give an option of an op as a key."""
    kind = type(x)
    if kind is slice:
        return slice, x.start, x.stop, x.step
    if kind is tuple or kind is list:
        return tuple([one if type(one) is int else frozen(one) for one in x])
    return id(x) if kind is np.ndarray else x


def below(nodes: Sequence[Node], i: int, through: Collection[Op] = PASSING) -> int:
    """Give what a node is a view of, or itself."""
    while nodes[i].op in through:
        i = nodes[i].inputs[0]
    return i


def is_leaf_like(nodes: Sequence[Node], node: Node) -> bool:
    """Tell a leaf, or a view of one."""
    return nodes[below(nodes, node.id, VIEWING)].op in LEAVES


def reached(nodes: Sequence[Node], tops: Iterable[int], stop: Callable[[int], bool] = lambda i: False) -> set[int]:
    """Find all that lies behind some nodes, these too; nothing behind what stops the walk."""
    waiting = list(tops)
    seen = set(waiting)
    while waiting:
        i = waiting.pop()
        if not stop(i):
            below = set(nodes[i].inputs) - seen
            seen |= below
            waiting += below
    return seen


def leaves_behind(nodes: Sequence[Node], tops: Iterable[int]) -> set[int]:
    """Find the leaves that some nodes are computed from."""
    return {i for i in reached(nodes, tops) if nodes[i].op in LEAVES}


def products_of(node: Node) -> Sequence[tuple[int, int, int]]:
    """Give the ways to see a node as a weight times a state: the inputs, and the axis that is summed away."""
    if node.op is MATMUL:
        left, right = node.arguments
        return [(0, 1, right.ndim - 2), (1, 0, left.ndim - 1)]
    if node.op is DOT:
        left, right = node.arguments
        return [(0, 1, 0)] * (right.ndim == 1) + [(1, 0, 0)] * (left.ndim == 1)
    found: list[tuple[int, int, int]] = []
    for one, other in permutations(enumerate(node.options["operands"]), 2) if node.op is EINSUM else ():
        summed = [letter for letter in one[1] if letter in other[1] and letter not in node.options["out"]]
        found += [(one[0], other[0], other[1].index(summed[0]))] if len(summed) == 1 else []
    return found


def find_uses(nodes: Sequence[Node], numbers: Sequence[int]) -> dict[Key, list[Use]]:
    """Collect the products of every weight that multiplies, more than once, what came out of a product."""
    found: dict[Key, list[Any]] = {}
    after = bytearray(len(nodes))  # whether a product leads to a node
    plausible: set[Key] = set()
    for node in nodes:
        for i in node.inputs:
            if after[i]:
                after[node.id] = 1
                break
        for use in products_of(node) if node.op in PRODUCTS else ():
            i = node.inputs[use[0]]
            key = use[:2], numbers[i] if nodes[i].op is not CONSTANT else written(nodes[i])
            found.setdefault(key, []).append((node.id, *use))
            if after[node.inputs[use[1]]]:
                plausible.add(key)
            after[node.id] = 1
    return {key: [Use(*use) for use in some] for key, some in found.items() if key in plausible and len(some) > 1}


def written(node: Node) -> Any:
    """Know an array again that is no argument, by what is in it: every use of it is a constant of its own."""
    return node.value.shape, node.value.tobytes()
