"""What one step of a recurrence made: its nodes, and the weights by which it multiplies the state before.

In: a recurrence whose states stand in the graph. Out: nodes in the order in which they were made; weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, number_of, plain, shape_of
from rnngraph.sources.torch.finding.entrance import PRODUCTS, leaf_of
from rnngraph.sources.torch.finding.recurrence import STEPS, Recurrence

EVERY = slice(None)


def nodes_of_step(one: Recurrence, t: int) -> list[Any]:
    """Give the nodes that a step made: in its call, or else between the state before and its own."""
    if t not in one.made:
        one.made[t] = _in_call(one, t) if one.how == STEPS else _between(one, t)
    return one.made[t]


def _in_call(one: Recurrence, t: int) -> list[Any]:
    if not one.states[t]:
        return []
    before, call = {node for node, _ in (one.states[t - 1] if t else [])}, one.calls[t]
    nodes = {node for node, _ in (*one.states[t], *call.out) if number_of(node) >= call.begin}
    return [node for node in at_and_below(nodes, call.begin, before.__contains__) if node not in before]


def _between(one: Recurrence, t: int) -> list[Any]:
    """Take for the first step as many numbers back as the second took."""
    if not one.states or not one.states[t]:
        return []
    ends = [max(number_of(node) for node, _ in some) for some in one.states[max(t - 1, 0) : max(t - 1, 0) + 2]]
    least = (ends[0] if t else 2 * ends[0] - ends[-1]) + 1
    return at_and_below((node for node, _ in one.states[t]), least)


@dataclass(frozen=True, slots=True)
class Multiplying:
    """A weight that a state is multiplied with: whether it is turned, and which of its rows the state takes."""

    weight: Any
    turned: bool
    rows: slice

    @property
    def whole(self) -> bool:
        """Whether it multiplies nothing but the state."""
        return self.rows == EVERY


def multiplying_states(one: Recurrence) -> list[Multiplying]:
    """Find the weights by which a step multiplies a state of the step before."""
    t = one.steps // 2
    states = set(one.states[t - 1]) if one.states else set()
    found = []
    for node in nodes_of_step(one, t) if states else ():
        slot = PRODUCTS.get(node.name(), (None,))[0]
        taken = None if slot is None else node.next_functions[slot]
        if slot is None or taken is None or taken[0] is None:
            continue
        leaf, rows = leaf_of(node.next_functions[slot + 1]), _rows(tuple(taken), states)
        if leaf is not None and rows is not None:
            found.append(Multiplying(*leaf, rows))
    return found


def _rows(edge: Edge, states: set[Edge]) -> slice | None:
    if plain(edge) in states:
        return EVERY
    if edge[0].name() != "CatBackward0":
        return None
    widths = [None if node is None else shape_of((node, place))[-1] for node, place in edge[0].next_functions]
    missing = shape_of(edge)[-1] - sum(width or 0 for width in widths)
    first = 0
    for below, width in zip(edge[0].next_functions, widths, strict=True):
        size = missing if width is None else width
        if below[0] is not None and plain(tuple(below)) in states:
            return slice(first, first + size)
        first += size
    return None
