"""Which way a recurrence reads its sequence, and whether anything new enters at its steps.

In: a recurrence and the nodes of its tape. Out: "forward" or "reverse", from integer places that rise or fall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.ops import INDEX, MULTIPLY
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import LEAVES, PRODUCTS, below, is_leaf_like

Places: TypeAlias = dict[tuple[object, object], dict[int, int]]  # what is read, and along which axis -> step -> place

Made: TypeAlias = Mapping[int, tuple[object, int]]  # state or part of a list -> its recurrence or list, and place


def find_direction(nodes: Sequence[Node], found: Found, made: Made) -> str:
    """Tell which way a sequence is read, from places that rise or fall: where states are put, and what steps read."""
    places, time, votes = places_of(nodes, found, made)[0], found.time, 0
    _written(nodes, found, places)
    for at in places.values():
        # What is joined with a state counts to that state's step, so that two places of the first step are one move,
        # and that of the last may be what reads the last state.
        moves = [at[k + 1] - at[k] for k in sorted(at) if k + 1 in at]
        if len(at) >= time - 1 and len(moves) - moves.count(0) >= max(time - 2, 1):
            sure = moves[:-1] if len(moves) > 2 else moves
            votes += (min(sure) >= 0) - (max(sure) <= 0)
    return "reverse" if votes < 0 else "forward"


def places_of(nodes: Sequence[Node], found: Found, made: Made) -> tuple[Places, set[int]]:
    """Give where each step reads arrays, lists and what was `made`, and the steps that something new enters."""
    places, fresh, entering = Places(), set[int](), _entering(nodes, found)
    todo = [(i, k) for i, k in entering.items() if k >= 0]
    seen = set(todo)  # what a mask keeps is read twice, at every step: ways double
    while todo:
        i, k = todo.pop()
        node = nodes[i]
        if i in made:
            places.setdefault(("made", made[i][0]), {})[k] = made[i][1]
        if node.op in LEAVES or (node.op is CONSTANT and node.value.size > 1):  # the step's number is nothing new
            fresh.add(k)
        elif i in made:
            continue
        elif node.op is INDEX:
            fresh.add(k)
            for axis, part in enumerate(node.options["index"]):
                if isinstance(part, int):
                    at = _before_slices(nodes, node.inputs[0], axis, part % node.arguments[0].shape[axis])
                    places.setdefault((at[0], axis), {})[k] = at[1]
        else:
            behind = {(j, k) for j in node.inputs if entering.get(j, k) >= 0} - seen
            seen |= behind
            todo += behind
    return places, fresh


def _entering(nodes: Sequence[Node], found: Found) -> dict[int, int]:
    """Give what a step takes from outside, with the step; -1 where several do."""
    steps, entering = found.chain.steps, dict[int, int]()
    for i, k in steps.items():
        for source in nodes[i].inputs if i in found.inside else ():
            if source not in steps and entering.setdefault(source, k) != k:
                entering[source] = -1
    return entering


def has_own_weights(nodes: Sequence[Node], numbers: Sequence[int], found: Found) -> bool:
    """Tell layers of a deep network, each of which multiplies by weights of its own, from steps, which share theirs.

    Parts of one array may be data that a state is multiplied by, where a weight tells the steps.
    """
    steps, uses = found.chain.steps, dict[int, set[int]]()  # number of a weight -> the steps that multiply by it
    for i in found.inside & steps.keys():
        along = nodes[i].op in PRODUCTS
        for j in nodes[i].inputs if along or nodes[i].op is MULTIPLY else ():
            whole = nodes[below(nodes, j)].op in LEAVES and (along or not found.chain.weighed_along)
            if whole or (along and not found.chain.weighed_along and is_leaf_like(nodes, nodes[j])):
                uses.setdefault(numbers[j], set()).add(steps[i])
    own = set[int]().union(*(some for some in uses.values() if len(some) == 1))
    return len(own) >= max(found.time - 1, 2)


def _before_slices(nodes: Sequence[Node], i: int, axis: int, place: int) -> tuple[int, int]:
    """Give the place in the array that was sliced, such as the last one of `x[:, ::-1]` for the first."""
    while nodes[i].op is INDEX and all(isinstance(part, slice) for part in nodes[i].options["index"]):
        index, i = nodes[i].options["index"], nodes[i].inputs[0]
        if axis < len(index):
            place = range(*index[axis].indices(nodes[i].value.shape[axis]))[place]
    return i, place


def _written(nodes: Sequence[Node], found: Found, places: Places) -> None:
    """Note where the states were put."""
    order = {i: k for k, i in enumerate(found.states["h"])}
    for node in nodes:
        if node.op is ASSEMBLE:
            for part, index in zip(node.inputs[1:], node.options["indices"], strict=True):
                for axis, number in enumerate(index if part in order else ()):
                    if isinstance(number, int):
                        places.setdefault((-node.id, axis), {})[order[part]] = number % node.value.shape[axis]
