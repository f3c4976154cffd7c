"""What enters the steps of a recurrence besides its states: data, and edges behind which there is no recurrence.

In: a recurrence whose states stand in the graph. Out: entrances by step, alike at every one; none where they differ.
What a step takes may be joined with states, or made of them, before it is taken: such nodes belong to the step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from rnngraph.sources.torch.autograd.edges import Edge, all_below, holds_throughout, is_parameter, number_of, unviewed
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.inputs.entrance import (
    MOVES,
    WEIGHING,
    Entrance,
    entrances,
    given,
    is_data,
    narrowed,
    weight_at,
)
from rnngraph.sources.torch.recurrences.recurrence import STEPS, Recurrence, nodes_of_step

Behind: TypeAlias = Callable[[Edge], bool]
WORDS = "EmbeddingBackward0"
LEAST = 3  # steps of which it can be said that they are alike


class StepInputs:
    """Finds what enters; `behind` tells whether a recurrence lies behind an edge, `walls` are where they hand out."""

    def __init__(self, one: Recurrence, behind: Behind, walls: Collection[Edge]) -> None:
        """Look at a recurrence."""
        self.one, self.behind, self.walls = one, behind, walls
        self._of_weights = dict[Any, bool]()

    def by_tensor(self) -> list[list[list[Entrance]]]:
        """Give what enters every step besides states, weights and what stays the same: of each tensor a list."""
        order, starting = self.one.order, abs(self.one.stride)
        if self.one.steps < max(LEAST, starting + 2) or not all(self.one.states):
            return []
        found = [self._of_step(t) for t in order[starting:]]
        first, second = found[:2]
        varying = [entrance for entrance in first if entrance.key not in {other.key for other in second}]
        signs = sorted((entrance.sign for entrance in varying), key=str)
        own = [[entrance for entrance in some if entrance.sign in signs] for some in found]
        if not signs or any(sorted((entrance.sign for entrance in some), key=str) != signs for some in own):
            return []
        starts = [self._at_first(t, like) for t, like in zip(order[:starting], own, strict=False)]
        return [_by_tensor(some or []) for some in (*starts, *own)][:: order.step] if None not in starts else []

    def _of_step(self, t: int, before: Sequence[Any] | None = None, sources: Collection[Edge] = ()) -> list[Entrance]:
        """Find what enters a step; `before` are its nodes before the call of a module, where they are known."""
        nodes, stepwise = nodes_of_step(self.one, t), self.one.how == STEPS
        if before is None:
            before = self._made_of_states(t, nodes) if stepwise else []
        every, taken = [*before, *nodes], _taken(self.one.calls[t]) if stepwise else set()
        inside = self._edges(nodes, every, sources)
        if stepwise:  # into a call what it was given, and not what else it may hold
            inside = (
                one for one in inside if one.key in taken or one.sign[0] in ("picked", "made") or _is_word(one.edge[0])
            )
        return [*entrances(every), *self._edges(before, every, sources), *inside]

    def _made_of_states(self, t: int, nodes: Iterable[Any]) -> list[Any]:
        """Give the nodes below a step's from which a recurrence is reached, up to where it hands something out.

        What was made before the step before is no part of this one, as what a memory has held for longer.
        """
        found, waiting, own = dict[Any, None](), list(nodes), set(nodes)
        last = self.one.before(t)
        least = 0 if last is None else self.one.calls[last].begin
        while waiting:
            for edge in waiting.pop().next_functions:
                if edge[0] is None or edge[0] in own or edge[0] in found or number_of(edge[0]) < least:
                    continue
                if self.behind(edge) and not self._is_wall(edge):
                    found[edge[0]] = None
                    waiting.append(edge[0])
        return list(found)

    def _is_wall(self, edge: Edge) -> bool:
        return edge in self.walls or unviewed(edge) in self.walls

    def _edges(self, nodes: Iterable[Any], own: Iterable[Any], sources: Collection[Edge]) -> Iterator[Entrance]:
        """Find the edges into a step; of a step that is picked from a sequence, where it has been picked.

        Words that are looked up in a step, and `sources` of other steps, lie outside it.
        """
        made, seen = {node for node in own if not _is_word(node)}, set()
        for node in nodes:
            moves = node.name() in MOVES
            if moves and unviewed((node, 0)) != (node, 0):  # a slice of everything
                continue
            for slot, (below, place) in enumerate(node.next_functions):
                if below is None:
                    continue
                edge = unviewed((below, place)) if moves else (below, place)
                inside = edge[0] in made and not (moves and edge in sources)
                if edge in seen or self._is_wall(edge) or self.behind(edge):
                    continue
                # What a weight multiplies is an input, whatever a step made of it first, as by a mask or a decay.
                fed = inside and edge[0] in made and is_data(node, slot) and _holds_data(edge[0])
                if not fed and (inside or holds_throughout(edge[0], is_of_weights, self._of_weights)):
                    continue
                if moves:
                    index = getattr(node, "_saved_index", getattr(node, "_saved_start", place))
                    yield replace(given((node, 0), ("picked", node.name(), slot)), key=(edge, index), node=node)
                else:
                    seen.add(edge)
                    sign = "made" if fed else "edge", node.name(), slot
                    yield replace(given(edge, sign), key=edge, node=node, factor=weight_at(node, slot))

    # ---- the first step, where states may be data
    def _at_first(self, t: int, like: list[Entrance]) -> list[Entrance] | None:
        """Find what enters a first step, by what enters the one that goes on from it; None where it is not known.

        Where the second step takes what was made of a state by some weight, and the first took data in its place,
        nothing of the kind enters the first.
        """
        twins, ended = self._twins(t)
        own = set(nodes_of_step(self.one, t))
        sources = {one.key[0] for one in like if one.sign[0] == "picked"}
        signs = {one.sign for one in like}
        some = self._of_step(t, [node for node in twins.values() if node not in own], sources)
        found = [one for one in some if one.sign in signs]
        for one in like:  # of what is joined with a state that is data, the graph shows no join
            products = entrances(ended.get(one.node, ())) if one.sign[0] == "joined" else []
            found += [narrowed(product, one) for product in products if product.sign[0] == "product"]
        gone, known = _behind_products(ended), {one.sign for one in found}
        return found if all(one.sign in known or one.node in gone for one in like) else None

    def _twins(self, t: int) -> tuple[dict[Any, Any], dict[Any, list[Any]]]:
        """Pair the nodes of the second step with those of the first.

        Returns:
            the nodes of the first step by those of the second; and by the nodes in whose place the first step took
            data, what took it.
        """
        first, second = self.one.states[t], self.one.states[t + self.one.stride]
        waiting = [(a[0], b[0]) for a, b in zip(first, second, strict=False) if a[0].name() == b[0].name()]
        twins, ended = {b: a for a, b in waiting}, dict[Any, list[Any]]()
        while waiting:
            a, b = waiting.pop()
            for below, twin in zip(b.next_functions, a.next_functions, strict=False):
                if below[0] is None or self._is_wall(below) or below[0] in twins:
                    continue
                if twin[0] is None:
                    ended.setdefault(unviewed(below)[0], []).append(a)
                elif twin[0].name() == below[0].name() and self.behind(below):
                    twins[below[0]] = twin[0]
                    waiting.append((twin[0], below[0]))
        return twins, ended


def _taken(call: Call) -> set[Edge]:
    return {edge for one in call.taken_edges for edge in (one, unviewed(one))}


def _is_word(node: Any) -> bool:
    return bool(node.name() == WORDS)


def is_of_weights(node: Any) -> bool:
    """Whether it takes no data: of weights alone weight norm makes something."""
    if not node.next_functions:
        return is_parameter(node)
    return not (_is_word(node) or node.name() in MOVES or entrances([node]))


def _holds_data(node: Any) -> bool:
    """Whether plain data went into something."""
    return any(below is None for one in all_below([node]) for below, _ in one.next_functions)


def _behind_products(nodes: Iterable[Any]) -> set[Any]:
    """Give the nodes that are reached from some through a weight: where data stood in their place, none were made."""
    waiting, seen = [(node, False) for node in nodes], set[tuple[Any, bool]]()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            node, behind = one[0], one[1] or one[0].name() in WEIGHING
            waiting += [(below, behind) for below, _ in node.next_functions if below is not None]
    return {node for node, behind in seen if behind}


def _by_tensor(some: list[Entrance]) -> list[list[Entrance]]:
    """Put together what operations took of one tensor, or of copies of it."""
    groups: list[list[Entrance]] = []
    for one in some:
        known = next((group for group in groups if is_same(group[0], one)), None)
        if known is None:
            groups.append([one])
        else:
            known.append(one)
    return groups


def is_same(one: Entrance, other: Entrance) -> bool:
    """Whether two operations took one tensor, or copies of it."""
    a, b = one.value, other.value
    return one.key == other.key or (a is not None and b is not None and a.shape == b.shape and bool((a == b).all()))
