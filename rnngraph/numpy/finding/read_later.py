"""What is read at a later step than it was made: by step, with its readers.

In: a chain. Out: `Read`s by step and value, looked through views and joins to what a step made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.ops import CONCATENATE, INDEX, MULTIPLY, STACK, TRANSPOSE
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.products import LEAVES, PASSING

JOINING = frozenset((CONCATENATE, STACK, ASSEMBLE))
GIVEN = LEAVES | {CONSTANT}


@dataclass(slots=True)
class Read:
    """A value of a step that is read at a later one."""

    consumer: int
    position: int
    units: int | None
    via: list[int]
    step: int
    clocked: bool


def read_later(nodes: Sequence[Node], chain: Chain) -> dict[int, dict[int, list[Read]]]:
    """Collect, by step, the states and who reads them later."""
    steps, clock = chain.steps, {use.node: k for k, use in enumerate(chain.clock)}
    leads = _leads(nodes, clock)
    found: dict[int, dict[int, list[Read]]] = {}
    for i, k in steps.items():
        for position, source in enumerate(nodes[i].inputs):
            j = steps.get(source, k)
            if j >= k or leads[source] <= j:
                continue
            use = chain.clock[clock[i]] if i in clock else None
            clocked = use is not None and use.state == position
            state, units, via = behind(nodes, steps, source, use.axis if use is not None and clocked else None, j)
            found.setdefault(j, {}).setdefault(state, []).append(Read(i, position, units, via, k, clocked))
    return found


def _leads(nodes: Sequence[Node], clock: dict[int, int]) -> list[int]:
    """Give the latest product that every node leads to, -1 where there is none."""
    leads = [-1] * len(nodes)
    for node in reversed(nodes):
        own, latest = clock.get(node.id, -1), leads[node.id]
        if own > latest:
            latest = leads[node.id] = own
        if latest >= 0:
            for i in node.inputs:
                if leads[i] < latest:
                    leads[i] = latest
    return leads


def behind(
    nodes: Sequence[Node], steps: dict[int, int], i: int, axis: int | None, k: int, shape: tuple[int, ...] | None = None
) -> tuple[int, int | None, list[int]]:
    """Walk back from what was read to the state: through views and masks, and to the part of a join that `k` made.

    Before the first step, where `k` is -1, it is the part that is given and has the `shape` of the state.
    """
    via: list[int] = []
    while True:
        node, source = nodes[i], None
        if node.op in PASSING:
            source = node.inputs[0]
        elif node.op in JOINING:
            source = _only(_parts(nodes, steps, node, k, shape))
        elif node.op is MULTIPLY:
            parts = _parts(nodes, steps, node, k, shape)
            masks = [j for j in node.inputs if j not in parts and j not in steps and _is_mask(nodes, j)]
            source = _only([part for part in parts if masks and nodes[part].value.shape == node.value.shape])
        elif node.op is INDEX:
            below = nodes[node.inputs[0]]
            if below.value.size == node.value.size:
                source = below.id
            elif below.op in JOINING:
                source = _only(
                    [p for p in _parts(nodes, steps, below, k, shape) if nodes[p].value.size == node.value.size]
                )
        if source is None or (k >= 0 and steps.get(source, -1) != k):
            return i, axis, via
        axis = None if axis is None else _axis_before(node, nodes[source], axis)
        via.append(i)
        i = source


def _parts(
    nodes: Sequence[Node], steps: dict[int, int], node: Node, k: int, shape: tuple[int, ...] | None
) -> list[int]:
    if k >= 0:
        return [part for part in node.inputs if steps.get(part, -1) == k]
    given = [part for part in node.inputs if nodes[part].op in GIVEN and shape in (None, nodes[part].value.shape)]
    return [] if node.op is ASSEMBLE else given


def _is_mask(nodes: Sequence[Node], i: int) -> bool:
    """Tell what is made of data alone, of which every step has its own part."""
    waiting, seen, own = [i], {i}, False
    while waiting:
        node = nodes[waiting.pop()]
        if node.op is INDEX:
            own = True
        elif node.op in LEAVES:
            return False
        else:
            waiting += set(node.inputs) - seen
            seen.update(node.inputs)
    return own


def _only(parts: list[int]) -> int | None:
    return parts[0] if len(set(parts)) == 1 else None


def _axis_before(node: Node, source: Node, axis: int) -> int | None:
    if node.op is TRANSPOSE:
        return int(node.options["axes"][axis])
    if node.value.ndim == source.value.ndim:
        return axis
    size = node.value.shape[axis]
    fits = [place for place, other in enumerate(source.value.shape) if other == size]
    return fits[-1] if fits else None
