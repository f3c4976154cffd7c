"""What is read at a later step than it was made: by step, with its readers.

In: a chain. Out: `Read`s by step and value, looked through views and joins to what a step made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import INDEX, TRANSPOSE
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.products import JOINING, PASSING

_SEEN_THROUGH = PASSING | JOINING | {INDEX}


@dataclass(slots=True)
class Read:
    """A value of a step that is read at a later one."""

    consumer: int
    units: int | None
    via: list[int]
    step: int
    clocked: bool


def read_later(nodes: Sequence[Node], chain: Chain) -> dict[int, dict[int, list[Read]]]:
    """Collect, by step, the states and who reads them later."""
    steps, clock = chain.steps, {use.node: k for k, use in enumerate(chain.clock)}
    kept = _kept_wholes(nodes, chain)
    leads = _leads(nodes, clock)
    found: dict[int, dict[int, list[Read]]] = {}
    for i, k in steps.items():
        for position, source in enumerate(nodes[i].inputs):
            j = steps.get(source, k)
            if j >= k or leads[source] <= j:
                continue
            use = chain.clock[clock[i]] if i in clock else None
            clocked = use is not None and use.state == position
            state, units, via = _behind(nodes, chain, source, use.axis if use is not None and clocked else None, kept)
            found.setdefault(j, {}).setdefault(state, []).append(Read(i, units, via, k, clocked))
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


def _kept_wholes(nodes: Sequence[Node], chain: Chain) -> set[int]:
    """Find arrays of which a step leaves something where an earlier one has put it: they are states themselves."""
    steps, array, kept = chain.steps, dict[int, int](), set[int]()
    for node in nodes:
        if node.op is ASSEMBLE:
            before = node.inputs[0]
            array[node.id] = array.get(before, node.id)
            if before in array and steps.get(before, len(nodes)) < steps.get(node.id, -1):
                kept.add(array[before])
    return {i for i, whole in array.items() if whole in kept}


def _behind(
    nodes: Sequence[Node], chain: Chain, i: int, axis: int | None, kept: set[int]
) -> tuple[int, int | None, list[int]]:
    """Walk back from what was read to the state: through views, and to the part of a join that a step made.

    What is `kept` whole is a state itself.
    """
    via: list[int] = []
    k = chain.steps[i]
    while nodes[i].op in _SEEN_THROUGH and i not in kept:
        node = nodes[i]
        made = {j for j in node.inputs if chain.steps.get(j, -1) == k}
        source = made.pop() if len(made) == 1 else i
        some = node.op is INDEX and node.value.size != nodes[source].value.size
        if source == i or (some and chain.shape(node) != chain.shape(nodes[source])):
            break
        axis = None if axis is None else _axis_before(node, nodes[source], axis)
        via.append(i)
        i = source
    return i, axis, via


def _axis_before(node: Node, source: Node, axis: int) -> int | None:
    if node.op is TRANSPOSE:
        return int(node.options["axes"][axis])
    return axis if node.value.ndim == source.value.ndim else None
