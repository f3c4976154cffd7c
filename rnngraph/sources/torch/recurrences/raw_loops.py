"""Loops that no module's call shows: a weight that is used again on what it has made, or tensors put side by side.

In: the graph of a pass, the names of parameters, and the calls that ran. Out: recurrences; a loop whose steps are not
alike, or take other weights at every step as layers do, is none. `watch.mark` is the sure way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnngraph.sources.torch.autograd.edges import (
    Edge,
    all_below,
    at_and_below,
    holds_throughout,
    is_parameter,
    number_of,
    shape_of,
    unviewed,
    walk_down,
)
from rnngraph.sources.torch.autograd.tables import WRITTEN
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.inputs.entrance import PRODUCTS
from rnngraph.sources.torch.inputs.step_inputs import LEAST, is_of_weights
from rnngraph.sources.torch.recurrences.loop_states import loop_states
from rnngraph.sources.torch.recurrences.module_states import module_states
from rnngraph.sources.torch.recurrences.recurrence import RAW, Recurrence, nodes_of_step

_JOINS = frozenset({"StackBackward0", "CatBackward0"})


def raw_loops(roots: list[Any], names: Mapping[int, str], calls: Sequence[Call] = ()) -> list[Recurrence]:
    """Find loops by their weights, and where they show none by what they put side by side, the longest first.

    Of weights that depend on each other's products, which are one cell, the first counts.
    """
    nodes = at_and_below(roots)
    cells: list[tuple[list[Any], set[Any]]] = []
    found: list[tuple[int, int, Recurrence]] = []
    for name, some in sorted(_uses(nodes, names).items(), key=lambda use: (-len(use[1]), number_of(use[1][0]))):
        uses = [Call(name, None, number_of(node), number_of(node) + 1, out=[(node, 0)]) for node in some]
        cell = some, set(at_and_below(some[-1:]))
        if not any(_depend(cell, other) for other in cells):
            one = _of_weight(uses, roots)
            if one is not None:
                cells.append(cell)
                found.append((number_of(some[0]), number_of(some[-1]), one))
    for some in sorted(_side_by_side(nodes), key=len, reverse=True):
        begin, end = number_of(some[0]), number_of(some[-1])
        if not any(begin <= last and first <= end for first, last, _ in found):
            one = _of_products(_where(some, calls), some, roots)
            if one is not None:
                found.append((begin, end, one))
    loops = [one for _, _, one in sorted(found, key=lambda some: some[0])]
    for one in loops:
        one.others = frozenset(node for other in loops if other is not one for some in other.states for node, _ in some)
        one.made.clear()
    return numbered(loops)


def _depend(one: tuple[list[Any], set[Any]], other: tuple[list[Any], set[Any]]) -> bool:
    """Whether of the products with two weights, given with all below the last, each has some that depend on others."""
    return not one[1].isdisjoint(other[0]) and not other[1].isdisjoint(one[0])


def numbered(found: list[Recurrence]) -> list[Recurrence]:
    """Tell recurrences of one path apart."""
    paths = [one.path for one in found]
    for k, one in enumerate(found):
        if before := paths[:k].count(one.path):
            one.path = f"{one.path}#{before + 1}"
    return found


def _of_weight(uses: list[Call], roots: list[Any]) -> Recurrence | None:
    """Take for the state what crosses into the next use of a weight."""
    chain = module_states(uses)
    if not all(chain.linked[chain.stride :]):
        return None
    found = Recurrence(uses[0].path, RAW, [], loop_states(uses, roots, chain.stride).states, stride=chain.stride)
    return found if all(found.states) and _alike(found) else None


def _of_products(name: str, products: list[Any], roots: list[Any]) -> Recurrence | None:
    """Take for the state what crosses from the making of one product to that of the next, and descends from before."""
    begins = [number_of(products[0]), *(number_of(node) + 1 for node in products[:-1])]
    calls = [
        Call(name, None, begin, number_of(node) + 1, out=[(node, 0)])
        for begin, node in zip(begins, products, strict=True)
    ]
    states = loop_states(calls, roots).states
    if len({len(some) for some in states[1:-1]}) != 1 or not states[1]:
        return None
    old = {node for node, _ in states[1]}
    grown = [
        k
        for k, (node, _) in enumerate(states[2])
        if any(n in old for _, n, _ in walk_down([node], 0, old.__contains__))
    ]
    states = [[some[k] for k in grown if k < len(some)] for some in states]
    states[0] = _of_first(states[1], calls)
    found = Recurrence(name, RAW, [], states if states[0] else states[1:])  # the first state may be plain zeros
    return found if all(found.states) and found.steps >= LEAST and _alike(found) else None


def _of_first(second: list[Edge], calls: list[Call]) -> list[Edge]:
    """Find the states of the first step: what the second step takes where the third takes those of the second."""
    before, after = (at_and_below([call.out[0][0]], call.begin) for call in calls[1:3])
    if [node.name() for node in before] != [node.name() for node in after]:
        return []
    found: dict[Edge, Edge] = {}
    for twin, user in zip(before, after, strict=True):
        for below, above in zip(twin.next_functions, user.next_functions, strict=True):
            if above[0] is not None and unviewed(above) in second and below[0] is not None and below[0].next_functions:
                found.setdefault(unviewed(above), unviewed(below))
    return [found[edge] for edge in second if edge in found] if len(found) == len(second) else []


def _uses(nodes: list[Any], names: Mapping[int, str]) -> dict[str, list[Any]]:
    """List the products with every weight that is used several times, by its name: along an axis, or unit by unit.

    A weight may be made of parameters, before the loop or in every step, as what is kept orthogonal or of one sign is:
    the products that make it are no uses.
    """
    found: dict[str, list[Any]] = {}
    named, made = dict[Any, str](), dict[Any, bool]()
    for node in nodes:
        slot = PRODUCTS.get(node.name(), (None, ""))[0]
        below = [one for one, _ in node.next_functions]
        if slot is not None:
            below = [
                one for one in below[slot + 1 :][:1] if one is not None and holds_throughout(one, is_of_weights, made)
            ]
        else:
            below = list(filter(is_parameter, below)) if node.name() == "MulBackward0" else []
        for one in below[:1]:
            if one not in named:
                leaves = (id(each.variable) for each in all_below([one]) if is_parameter(each))
                named[one] = next((names[leaf] for leaf in leaves if leaf in names), "")
            found.setdefault(named[one], []).append(node)
    uses = {name: [node for node in some if not made.get(node)] for name, some in found.items() if name}
    return {name: some for name, some in uses.items() if len(some) >= LEAST}


def _side_by_side(nodes: list[Any]) -> Iterator[list[Any]]:
    """Yield what is stacked, joined, written one by one into a tensor that was there, or summed as losses are."""
    written: dict[Any, list[Any]] = {}
    for node in nodes:
        below = [one for one, _ in node.next_functions]
        if node.name() in _JOINS:
            yield from _in_order(below)
        elif node.name() == WRITTEN and len(below) > 1:
            written[node] = [*written.pop(below[0], ()), below[1]]
        elif node.name() == "AddBackward0" and shape_of((node, 0)) == ():
            terms = sorted((one for one in below if one is not None), key=lambda one: -len(written.get(one, ())))
            written[node] = [*written.pop(terms[0], terms[:1]), *terms[1:]]
    for some in written.values():
        yield from _in_order(some)


def _in_order(some: list[Any]) -> Iterator[list[Any]]:
    if len(some) >= LEAST and all(node is not None and node.next_functions for node in some):
        ordered = sorted(set(some), key=number_of)
        if len(ordered) == len(some):
            yield ordered


def _where(nodes: list[Any], calls: Sequence[Call]) -> str:
    """Name the module in one call of which some nodes were made, the innermost."""
    around = [call for call in calls if call.made(nodes[0]) and call.made(nodes[-1])]
    return min(around, key=lambda call: call.end - call.begin).path if around else "loop"


def _alike(one: Recurrence) -> bool:
    """Whether the same makes every step that goes on from one, with the same weights; of the last what is seen."""
    steps = [nodes_of_step(one, t) for t in range(one.stride, one.steps)]
    names = [Counter(node.name() for node in some) for some in steps]
    weights = [
        {id(below.variable) for node in some for below, _ in node.next_functions if is_parameter(below)}
        for some in steps
    ]
    return (
        all(some == names[0] for some in names[:-1])
        and names[-1] <= names[0]
        and all(some == weights[0] for some in weights[:-1])
    )
