"""What enters the steps of a loop that no module's call shows: what is made between two states, and whence it comes.

In: a recurrence of which only the states are known. Out: entrances by step, alike at every one; none where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, plain
from rnngraph.sources.torch.finding.entrance import MOVES, Entrance, entrances, given, narrowed
from rnngraph.sources.torch.finding.recurrence import Recurrence
from rnngraph.sources.torch.finding.step_nodes import nodes_of_step

WORDS = "EmbeddingBackward0"
LEAST = 3  # steps of which it can be said that they are alike


def entering_loop(one: Recurrence, behind: Callable[[Edge], bool]) -> list[list[list[Entrance]]]:
    """Find what enters every step besides states, weights and what stays the same."""
    if one.steps < LEAST or not all(one.states):
        return []
    known = {edge for some in one.states for edge in some}
    found = [_entering(nodes_of_step(one, t), known, behind) for t in range(1, one.steps)]
    first, second = found[:2]
    varying = [entrance for entrance in first if entrance.key not in {other.key for other in second}]
    signs = sorted((entrance.sign for entrance in varying), key=str)
    steps = [[entrance for entrance in some if entrance.sign in signs] for some in found]
    if not signs or any(sorted((entrance.sign for entrance in some), key=str) != signs for some in steps):
        return []
    sources = {entrance.key[0] for entrance in varying if entrance.sign[0] == "picked"}
    start = _at_first(_entering(nodes_of_step(one, 0), known, behind, sources), varying)
    if len(start) < len(signs):
        return []
    return [_by_tensor(some) for some in (start, *steps)]


def _entering(
    nodes: list[Any], states: set[Edge], behind: Callable[[Edge], bool], sources: Collection[Edge] = ()
) -> list[Entrance]:
    return [*entrances(nodes), *_edges(nodes, states, behind, sources)]


def _edges(
    nodes: list[Any], states: set[Edge], behind: Callable[[Edge], bool], sources: Collection[Edge]
) -> Iterator[Entrance]:
    """Find the edges into a step; of a step that is picked from a sequence, where it has been picked.

    Words that are looked up in a step, and `sources` of other steps, lie outside it.
    """
    made, seen = {node for node in nodes if node.name() != WORDS}, set()
    for node in nodes:
        moves = node.name() in MOVES
        if moves and plain((node, 0)) != (node, 0):  # a slice of everything
            continue
        for slot, (below, place) in enumerate(node.next_functions):
            edge = plain((below, place)) if moves and below is not None else (below, place)
            below = edge[0]
            inside = below in made and not (moves and edge in sources)
            if below is None or inside or edge in states or not (moves or below.next_functions):
                continue
            if edge in seen or behind(edge):
                continue
            if moves:
                index = getattr(node, "_saved_index", getattr(node, "_saved_start", place))
                yield replace(given((node, 0), ("picked", node.name(), slot)), key=(edge, index))
            else:
                seen.add(edge)
                yield replace(given(edge, ("edge", node.name(), slot, below.name())), key=edge)


def _at_first(some: list[Entrance], like: list[Entrance]) -> list[Entrance]:
    """Choose among what enters the first step, where states may be data too, what enters the second."""
    found = []
    joined = [one for one in like if one.sign[0] == "joined"]
    for one in some:
        if any(one.sign == other.sign for other in like):
            found.append(one)
        elif joined and one.sign[0] == "product" and _reaches(one.value, joined[0]):
            found.append(narrowed(one, joined[0]))
    return found


def _reaches(value: Any, joined: Entrance) -> bool:
    """Whether a product's data is wide enough to hold a part that is joined at other steps."""
    _, axis, first, width = joined.sign
    return bool(axis < value.dim() and value.shape[axis] >= first + width and value.shape[axis] > width)


def _by_tensor(some: list[Entrance]) -> list[list[Entrance]]:
    """Put together what operations took of one tensor."""
    groups: dict[Any, list[Entrance]] = {}
    for one in some:
        groups.setdefault(one.key, []).append(one)
    return list(groups.values())
