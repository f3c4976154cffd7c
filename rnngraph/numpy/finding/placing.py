"""Put every node of a tape at its timestep, declare the states that were found, and tell weights from data.

In: a tape. Out: the same tape, as if layers had been recorded on it, and what was found.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.autodiff.node import PARAMETER, Node, Scope
from rnngraph.autodiff.ops import ADD, INDEX, MULTIPLY
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import listed
from rnngraph.numpy.finding.fed import declare_fed, read_by_step
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.leaving import put_into_whole
from rnngraph.numpy.finding.naming import name_all
from rnngraph.numpy.finding.products import LEAVES, PASSING, leaves_behind, number_values, products_of
from rnngraph.numpy.finding.recurrences import find_all
from rnngraph.numpy.finding.ways import weights_of
from rnngraph.numpy.tape import ArrayTape

Spot = tuple[Scope, int]


def find_recurrences(
    tape: ArrayTape, steps: int | None = None, *, held: bool = False, only: str | Sequence[str] | None = None
) -> list[Found]:
    """Find the recurrences of a tape and declare them, or some of them, on it; `held`: those that need no new node.

    Raises:
        InputError: a name in `only` that no recurrence has.
    """
    nodes: list[Node] = tape.entries  # type: ignore[assignment]
    numbers = number_values(nodes)
    found = [one for one in find_all(tape, nodes, numbers, steps) if not held or one.chain.samples is None]
    if put_into_whole(tape, found):
        numbers = number_values(nodes)
    states = set[int]().union(*(one.made("") for one in found))
    for one in found:
        if not leaves_behind(nodes, one.chain.weights):
            one.chain.weights += weights_of(nodes, numbers, one, states)
        _find_units(nodes, one)
    name_all(nodes, found)
    names = listed(only, [one.name for one in found])
    found = [one for one in found if not names or one.name in names]
    fed = read_by_step(nodes, numbers, found)
    spots = _spots(nodes, found)
    for i, (place, t) in spots.items():
        nodes[i].place, nodes[i].timestep = place, t
    for one in found:
        _declare(tape, nodes, one)
    _mark_parameters(nodes, spots)
    declare_fed(tape, nodes, found, fed)
    return found


def _find_units(nodes: Sequence[Node], one: Found) -> None:
    """Find the axes of units that no product showed: by their size, which is one of the weights', or as that of `h`."""
    sizes = {size for i in one.chain.weights for size in nodes[i].value.shape if size > 1}
    for kind, ids in one.states.items():
        fits = [axis for axis, size in enumerate(nodes[ids[0]].value.shape) if size in sizes]
        if one.units[kind] is None:
            one.units[kind] = fits[0] if len(fits) == 1 else one.units["h"]


def _spots(nodes: Sequence[Node], found: list[Found]) -> dict[int, Spot]:
    """Give the place and the timestep of every node that has one."""
    spots: dict[int, Spot] = {}
    readout: dict[int, set[int]] = {}
    for one in found:
        place, last = (("layer", one.name),), one.time - 1
        for i, k in one.chain.steps.items():
            t = k if one.direction == "forward" else last - k
            if i in one.inside:
                spots.setdefault(i, (place, t))
            else:
                readout.setdefault(i, set()).add(t)
    outside: set[int] = set()
    for i in sorted(readout.keys() - spots.keys()):  # what reads the states of one step
        times = {spots[j][1] for j in nodes[i].inputs if j in spots}
        if len(times) == 1 and outside.isdisjoint(nodes[i].inputs):
            spots[i] = (("layer", "readout"),), times.pop()
        else:
            outside.add(i)
    _spots_of_feeders(nodes, spots, outside)
    return spots


def _spots_of_feeders(nodes: Sequence[Node], spots: dict[int, Spot], outside: set[int]) -> None:
    """Put what only one step uses, such as `x[t] @ Wx`, at that step."""
    shared: dict[int, Spot | None] = {}  # the spot of all that use a node, None where there are several
    for node in reversed(nodes):
        i = node.id
        spot = spots.get(i)
        if spot is None and i not in outside and node.op not in LEAVES:
            spot = shared.get(i)
            if spot is not None:
                spots[i] = spot
        for j in node.inputs:
            if shared.setdefault(j, spot) != spot:
                shared[j] = None


def _declare(tape: Tape, nodes: Sequence[Node], one: Found) -> None:
    for kind, ids in one.states.items():
        start = one.initial.get(kind)
        if start is not None:  # differentiated although it may be constant: the gradient before the first step
            nodes[start].requires = True
        units = one.units[kind]
        shape = nodes[ids[0]].value.shape
        axis = None if len(shape) < 2 else 1 if units == 0 else 0
        tensors = [Tensor(tape, i) for i in (ids if one.direction == "forward" else ids[::-1])]
        tape.state(
            f"{one.name}.{kind}", tensors, initial=None if start is None else Tensor(tape, start), batch_axis=axis,
            direction=one.direction, mask=one.there,
        )  # fmt: skip
        tape.recurrences[-1].weight = str(nodes[one.chain.weights[0]].name or "") if one.chain.weighed_along else ""


def _mark_parameters(nodes: Sequence[Node], spots: dict[int, Spot]) -> None:
    """Make parameters of the leaves that several steps share, and of those that map or shift what is over time."""
    times: dict[int, set[int]] = {}
    views: dict[int, int] = {node.id: node.id for node in nodes if node.op in LEAVES and node.value.ndim <= 2}
    found: set[int] = set()
    for node in nodes:
        if node.op in PASSING and node.inputs[0] in views:
            views[node.id] = views[node.inputs[0]]
        elif node.op is INDEX or views.keys().isdisjoint(node.inputs):
            continue
        for position, i in enumerate(node.inputs):
            leaf = views.get(i)
            if leaf is None or leaf in found:
                continue
            if node.id in spots:
                times.setdefault(leaf, set()).add(spots[node.id][1])
            others = [j for place, j in enumerate(node.inputs) if place != position]
            weighs = node.op is MULTIPLY or any(weight == position for weight, _, _ in products_of(node))
            over = any(nodes[j].value.ndim > 2 or (nodes[j].requires and j not in views) for j in others)
            if over and (weighs or (node.op is ADD and nodes[i].value.ndim < node.value.ndim)):
                found.add(leaf)
    found |= {leaf for leaf, some in times.items() if len(some) > 1}
    for leaf in found:
        if nodes[leaf].value.dtype.kind == "f":
            nodes[leaf].op = PARAMETER
