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
    while True:
        node, source = nodes[i], None
        if node.op not in _SEEN_THROUGH or i in kept:
            return i, axis, via
        size = node.value.size
        parts = [part for part in node.inputs if chain.steps.get(part, -1) == k]
        if node.op in PASSING:
            source = node.inputs[0]
        elif node.op in JOINING:
            source = _only(parts)
        elif node.op is INDEX:
            whole = nodes[node.inputs[0]]
            within = [part for part in whole.inputs if whole.op in JOINING and chain.steps.get(part, -1) == k]
            fewer = chain.samples is not None and chain.shape(whole) == chain.shape(node)
            if whole.value.size == size or fewer or whole.id in kept:
                source = whole.id
            else:
                source = _only([part for part in within if nodes[part].value.size == size])
        if source is None or chain.steps.get(source, -1) != k:
            return i, axis, via
        axis = None if axis is None else _axis_before(node, nodes[source], axis)
        via.append(i)
        i = source


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
