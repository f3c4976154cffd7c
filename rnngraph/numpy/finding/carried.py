"""The states of a chain: values of one step that are read at a later one, on the way to a later product.

In: a chain. Out: a `Found`: node ids by timestep for every kind of state, their axes, and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.ops import CONCATENATE, INDEX, STACK, TRANSPOSE
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.products import LEAVES, PASSING

JOINING = frozenset((CONCATENATE, STACK, ASSEMBLE))
GIVEN = LEAVES | {CONSTANT}
Signature: TypeAlias = tuple[object, tuple[int, ...], tuple[object, ...]]


@dataclass(slots=True)
class Found:
    """One recurrence, in the order of processing."""

    chain: Chain
    states: dict[str, list[int]]  # kind -> node ids
    initial: dict[str, int]
    units: dict[str, int | None]  # kind -> the axis of the units, None where it is not known
    between: dict[int, int] = field(default_factory=dict)  # views between two steps -> the step that reads them
    direction: str = "forward"
    name: str = ""

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(next(iter(self.states.values())))


@dataclass(slots=True)
class _Read:
    """A value of a step that is read at a later one."""

    consumer: int
    position: int
    units: int | None
    via: list[int]
    step: int
    clocked: bool


def find_states(nodes: Sequence[Node], chain: Chain) -> Found | None:
    """Find what is carried; None where nothing is carried from step to step."""
    time, steps = len(chain.clock), chain.steps
    carried = _carried(nodes, chain)
    model = carried.get(time - 2, {})
    if not model:
        return None
    main = [state for state, reads in model.items() if any(one.clocked for one in reads)]
    main += [s for s, reads in model.items() if s not in main and any(one.consumer in chain.weighed for one in reads)]
    ordered = main + [state for state in model if state not in main]
    by_step: list[list[int]] = [[] for _ in range(time)]
    for i in sorted(chain.steps):
        by_step[chain.steps[i]].append(i)
    found = Found(chain, {}, {}, {})
    followed = {state: ids for state in ordered if (ids := _followed(nodes, by_step, carried, state)) is not None}
    if followed and all(len(ids) < time for ids in followed.values()):  # the last step makes no state
        chain.clock.pop()
        chain.steps = {i: k for i, k in steps.items() if k < time - 1}
    followed = {state: ids for state, ids in followed.items() if len(ids) == len(chain.clock)}
    first = sum(state in followed for state in main) or 1  # of those that are not multiplied by the weights
    for place, (state, ids) in enumerate(followed.items()):
        kind = _kind(place, first)
        found.states[kind] = ids
        axes = [one.units for one in model[state] if one.clocked and one.units is not None]
        found.units[kind] = axes[0] if axes else _units_by_size(nodes, chain, nodes[state].value.shape)
        for k, i in enumerate(ids[:-1]):
            for read in carried.get(k, {}).get(i, ()):
                for view in read.via if read.step < len(chain.clock) else ():
                    found.between[view] = max(found.between.get(view, 0), read.step)
        start = _start(nodes, by_step, model[state][0], nodes[state].value.shape)
        if start is not None and nodes[start].value.shape == nodes[state].value.shape:
            found.initial[kind] = start
    return found if "h" in found.states else None


def _units_by_size(nodes: Sequence[Node], chain: Chain, shape: tuple[int, ...]) -> int | None:
    """Find the axis of the units by its size, which is one of the weights'; None where that does not tell."""
    sizes = {size for i in chain.weights for size in nodes[i].value.shape}
    fits = [axis for axis, size in enumerate(shape) if size in sizes]
    return fits[0] if len(fits) == 1 else None


def _kind(place: int, main: int) -> str:
    """Name a state: `h` is multiplied by the weights, `c` is the first that is not."""
    if place == 0:
        return "h"
    return "c" if place == main else f"s{place}"


def _carried(nodes: Sequence[Node], chain: Chain) -> dict[int, dict[int, list[_Read]]]:
    """Collect, by step, the states and who reads them later."""
    steps, clock = chain.steps, {use.node: k for k, use in enumerate(chain.clock)}
    leads = _leads(nodes, clock)
    found: dict[int, dict[int, list[_Read]]] = {}
    for i, k in steps.items():
        for position, source in enumerate(nodes[i].inputs):
            j = steps.get(source, k)
            if j >= k or leads.get(source, -1) <= j:
                continue
            use = chain.clock[clock[i]] if i in clock else None
            clocked = use is not None and use.state == position
            state, units, via = _behind(nodes, steps, source, use.axis if use is not None and clocked else None, j)
            found.setdefault(j, {}).setdefault(state, []).append(_Read(i, position, units, via, k, clocked))
    return found


def _leads(nodes: Sequence[Node], clock: dict[int, int]) -> dict[int, int]:
    """Give the latest product that a node leads to."""
    leads: dict[int, int] = {}
    for node in reversed(nodes):
        own = clock.get(node.id)
        latest = leads.get(node.id)
        if own is not None and (latest is None or own > latest):
            latest = leads[node.id] = own
        if latest is not None:
            for i in node.inputs:
                if leads.get(i, -1) < latest:
                    leads[i] = latest
    return leads


def _behind(
    nodes: Sequence[Node], steps: dict[int, int], i: int, axis: int | None, k: int, shape: tuple[int, ...] | None = None
) -> tuple[int, int | None, list[int]]:
    """Walk back from what was read to the state: through views, and to the part of a join that step `k` made.

    Before the first step, where `k` is -1, it is the part that is given and has the `shape` of the state.
    """
    via: list[int] = []
    while True:
        node, source = nodes[i], None
        if node.op in PASSING:
            source = node.inputs[0]
        elif node.op in JOINING:
            source = _only(_parts(nodes, steps, node, k, shape))
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


def _followed(
    nodes: Sequence[Node], by_step: list[list[int]], carried: dict[int, dict[int, list[_Read]]], state: int
) -> list[int] | None:
    """Find the node of the same state in every step."""
    model = by_step[-2]
    rank, from_end = model.index(state), len(model) - model.index(state)
    wanted = signature(nodes[state])
    found: list[int] = []
    for k, here in enumerate(by_step):
        known = [i for i in carried.get(k, {}) if signature(nodes[i])[:2] == wanted[:2]]
        alike = [i for i in here if signature(nodes[i]) == wanted]
        some = ([i for i in known if i in alike] or known) if known else alike
        deep = [i for i in some if _operands(nodes, i) == _operands(nodes, state)]
        if k == len(by_step) - 1 and not deep:  # the last one may lead nowhere
            return found
        if not some:
            return None
        some = deep or some
        places = {i: here.index(i) for i in some} if len(some) > 1 else {}
        near = min(
            some, key=lambda i: min(abs(places[i] - rank), abs(len(here) - places[i] - from_end)) if places else 0
        )
        found.append(near)
    return found


def _operands(nodes: Sequence[Node], i: int) -> list[object]:
    return [nodes[j].op for j in nodes[i].inputs]


def signature(node: Node) -> Signature:
    """Say what two nodes of the same place in two steps have in common."""
    return node.op, node.value.shape, (len(node.inputs),)


def _start(nodes: Sequence[Node], by_step: list[list[int]], read: _Read, shape: tuple[int, ...]) -> int | None:
    """Find what the first step reads where later ones read the state."""
    here = by_step[read.step] if read.step < len(by_step) else []
    if read.consumer not in here:
        return None
    rank = here.index(read.consumer)
    consumer = nodes[read.consumer]
    alike = [i for i in by_step[0] if nodes[i].op is consumer.op and nodes[i].value.shape == consumer.value.shape]
    if not alike:
        return None
    first = min(alike, key=lambda i: abs(by_step[0].index(i) - rank))
    start, _, _ = _behind(nodes, {}, nodes[first].inputs[read.position], None, -1, shape)
    return start
