"""Chains of products by one weight, each on what came out of the one before: the clocks of recurrences.

In: the nodes of a tape and the uses of weights. Out: chains, with a step for every node that depends on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.numpy.finding.products import Key, Use, find_uses, is_leaf_like


@dataclass(slots=True)
class Chain:
    """One run of a cell: a product a step, the weights of the cell, and the step of all that depends on it."""

    clock: list[Use]
    weights: list[int]  # node ids
    weighed: set[int]  # the products by those weights
    steps: dict[int, int]  # node id -> step
    samples: int | None = None  # the axis along which the products of the steps differ in size

    def shape(self, node: Node) -> tuple[int, ...]:
        """Give the shape of a value, of as many samples as there may be."""
        shape, axis = node.value.shape, self.samples
        return shape if axis is None or len(shape) < 2 else (*shape[:axis], -1, *shape[axis + 1 :])

    @property
    def weighed_along(self) -> bool:
        """Whether weights multiply along an axis, so that the same ones show that the steps are of one cell."""
        return self.clock[0].axis is not None


def find_chains(nodes: Sequence[Node], numbers: Sequence[int], steps: int | None = None) -> list[Chain]:
    """Find the chains; `steps` says how many timesteps one has, where a step takes several products of its weight."""
    uses = find_uses(nodes, numbers)
    found: list[Chain] = []
    for group in _cells(nodes, uses):
        found += _runs(nodes, numbers, {key: uses[key] for key in group}, steps)
    return sorted(found, key=lambda one: one.clock[0].node)


def _cells(nodes: Sequence[Node], uses: dict[Key, list[Use]]) -> list[list[Key]]:
    """Group the weights that multiply what depends on their own products: mutually dependent ones are one cell."""
    keys = list(uses)
    at: dict[int, list[tuple[int, Use]]] = {}
    for bit, key in enumerate(keys):
        for use in uses[key]:
            at.setdefault(use.node, []).append((1 << bit, use))
    reach = [0] * len(nodes)  # the weights on whose products a node depends, as bits
    recurrent = blocked = 0
    behind = dict.fromkeys((1 << bit for bit in range(len(keys))), 0)
    for node in nodes:
        here = 0
        for i in node.inputs:
            here |= reach[i]
        for bit, use in at.get(node.id, ()):
            blocked |= bit & reach[node.inputs[use.weight]]  # a "weight" that depends on its own product
            recurrent |= bit & reach[node.inputs[use.state]]
            behind[bit] |= reach[node.inputs[use.state]]
            here |= bit
        reach[node.id] = here
    left = [bit for bit in behind if bit & recurrent & ~blocked]
    groups: dict[tuple[int, ...], list[Key]] = {}
    for bit in left:
        mutual = tuple([other for other in left if behind[bit] & other and behind[other] & bit])
        groups.setdefault(mutual, []).append(keys[bit.bit_length() - 1])
    return list(groups.values())


def _runs(nodes: Sequence[Node], numbers: Sequence[int], uses: dict[Key, list[Use]], steps: int | None) -> list[Chain]:
    depths = {key: depths_of(nodes, some) for key, some in uses.items()}
    longest = {key: max(depths[key][use.node] for use in some) for key, some in uses.items()}
    # What was computed, as the states that a step attends over, may be multiplied by more than once a step.
    clock = max(uses, key=lambda key: (_is_given(nodes, uses[key]), longest[key]))
    same = [depths[key] for key in uses if longest[key] == longest[clock]]
    deepest = same[0] if len(same) == 1 else list(map(max, *same))
    weighed, depth = {use.node for some in uses.values() for use in some}, depths[clock]
    found, below = list[Chain](), set[int]()
    while True:
        roots, known = _roots(nodes, numbers, uses[clock], below), len(found)
        for root in sorted({roots[use.node] for use in uses[clock]} - {0}):
            if root & (root - 1):
                continue  # it depends on two runs: a tree, unless one of them, found below, goes on by itself
            levels: dict[int, dict[int, Use]] = {}
            for use in uses[clock]:
                if roots[use.node] == root:
                    operand = numbers[nodes[use.node].inputs[use.state]]
                    levels.setdefault(depth[use.node], {}).setdefault(operand, use)
            if len(levels) < 2 or any(len(level) > 1 for level in levels.values()):
                continue
            products = [next(iter(levels[k].values())) for k in sorted(levels)]
            stride = len(products) // steps if steps and len(products) % steps == 0 else 1
            first, last = min(levels), (len(products) - 1) // stride
            inside = {i: min((deepest[i] - first) // stride, last) for i in range(len(nodes)) if roots[i] == root}
            found.append(Chain(products[::stride], _weights(nodes, uses), weighed, inside, _differing(nodes, products)))
        below = below.union(*(run.steps for run in found[known:]))
        if len(found) == known or all(use.node in below for use in uses[clock]):
            return found


def _differing(nodes: Sequence[Node], products: list[Use]) -> int | None:
    shapes = {nodes[use.node].value.shape for use in products}
    axes = [len(set(sizes)) > 1 for sizes in zip(*shapes, strict=False)]
    return axes.index(True) if sum(axes) == 1 and len(set(map(len, shapes))) == 1 else None


def depths_of(nodes: Sequence[Node], uses: list[Use]) -> list[int]:
    """Count the products of one weight on the way to every node, less one."""
    at = {use.node: use for use in uses}
    depth = [-1] * len(nodes)
    for i in range(uses[0].node, len(nodes)):
        node = nodes[i]
        use = at.get(i)
        if use is not None:
            depth[i] = depth[node.inputs[use.state]] + 1
            continue
        most = -1
        for j in node.inputs:
            if depth[j] > most:
                most = depth[j]
        depth[i] = most
    return depth


def _roots(nodes: Sequence[Node], numbers: Sequence[int], uses: list[Use], below: set[int]) -> list[int]:
    """Give the first products on which a node depends, as bits; equal ones are one, and none is `below`."""
    at = {use.node for use in uses}
    roots, bits = [0] * len(nodes), dict[int, int]()
    for i in range(uses[0].node, len(nodes)):
        if i in below:
            continue
        mask = 0
        for j in nodes[i].inputs:
            mask |= roots[j]
        if not mask and i in at:
            mask = bits.setdefault(numbers[i], 1 << len(bits))
        roots[i] = mask
    return roots


def _is_given(nodes: Sequence[Node], uses: list[Use]) -> bool:
    weight = nodes[nodes[uses[0].node].inputs[uses[0].weight]]
    return weight.op is CONSTANT or is_leaf_like(nodes, weight)


def _weights(nodes: Sequence[Node], uses: dict[Key, list[Use]]) -> list[int]:
    found = [nodes[some[0].node].inputs[some[0].weight] for some in uses.values()]
    return [i for i in found if is_leaf_like(nodes, nodes[i])] or found
