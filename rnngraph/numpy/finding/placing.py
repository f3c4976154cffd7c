"""Put every node of a tape at its timestep, declare the states that were found, and tell weights from data.

In: a tape and what was found. Out: the same tape, as if a layer had been recorded on it; and a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.autodiff.node import CONSTANT, PARAMETER, Node, Scope
from rnngraph.autodiff.ops import ADD, INDEX, MULTIPLY
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.numpy.finding.carried import Found, find_states
from rnngraph.numpy.finding.chains import Chain, find_chains
from rnngraph.numpy.finding.direction import find_direction, has_own_weights, places_of
from rnngraph.numpy.finding.fed import declare_fed, read_by_step
from rnngraph.numpy.finding.leaving import put_into_whole
from rnngraph.numpy.finding.products import LEAVES, PASSING, number_values, products_of
from rnngraph.numpy.finding.ways import find_ways, weights_of
from rnngraph.numpy.finding.woven import weave

Spot = tuple[Scope, int]
GATES = "cfgiorz"  # a weight of each is one entry of a dict
HOLDERS = ("v", "value", "val", "data")  # how objects that stand for a parameter call their array


def find_recurrences(tape: Tape, steps: int | None = None, *, held: bool = False) -> list[Found]:
    """Find the recurrences of a tape and declare them on it; where its ids are `held`, those that need no new node."""
    nodes: list[Node] = tape.entries  # type: ignore[assignment]
    numbers = number_values(nodes)
    taken = set[int]()
    found = _found(nodes, numbers, find_chains(nodes, numbers, steps), taken)
    found = found or _found(nodes, numbers, find_chains(nodes, number_values(nodes, alike=True), steps), taken)
    found += _found(nodes, numbers, find_ways(nodes, taken), taken)
    found.sort(key=lambda one: one.chain.clock[0].node)
    made = dict[int, tuple[object, int]]()
    for one in found:
        _complete(tape, one)
        one.direction = find_direction(nodes, one, made)
        made |= one.made(len(made))
    found = weave(nodes, [one for one in found if not held or one.chain.samples is None])
    if put_into_whole(tape, found):
        nodes, numbers = tape.entries, number_values(tape.entries)  # type: ignore[assignment,arg-type]
    states = {i for one in found for ids in one.states.values() for i in ids}
    for one in found:
        if not _leaves(nodes, one.chain.weights):
            one.chain.weights += weights_of(nodes, numbers, one, states)
        _find_units(nodes, one)
    _name(tape, found)
    fed = read_by_step(nodes, numbers, found)
    spots = _spots(nodes, found)
    for i, (place, t) in spots.items():
        nodes[i].place, nodes[i].timestep = place, t
    for one in found:
        _declare(tape, nodes, one)
    _mark_parameters(nodes, spots)
    declare_fed(tape, nodes, found, fed)
    return found


def _found(nodes: Sequence[Node], numbers: Sequence[int], chains: list[Chain], taken: set[int]) -> list[Found]:
    """Find what is carried along chains, the longest first, unless it is `taken`: inside of another recurrence."""
    found = []
    for chain in sorted(chains, key=lambda chain: -len(chain.clock)):
        one = find_states(nodes, chain)
        if one is None or one.time < 2:  # a mask that weighs a state and its loss is no recurrence
            continue
        one.inside = _leading(nodes, one)
        states = {i for ids in one.states.values() for i in ids}
        told = one.time > 2 and chain.weighed_along  # by the weight
        fed = told or len(places_of(nodes, one, {})[1] - {0}) >= one.time - 1
        if fed and taken.isdisjoint(states) and not has_own_weights(nodes, numbers, one):
            _prepend(nodes, one, taken)
            one.inside = _leading(nodes, one)
            taken |= one.inside
            found.append(one)
    return found


def _complete(tape: Tape, one: Found) -> None:
    """Put a last state on the tape that leads nowhere: nothing reaches it."""
    for kind, made in one.unread.items():
        last = tape.append(CONSTANT, (), tape.entries[made].value, requires=False)
        one.states[kind].append(last)
        one.inside.add(last)
        one.chain.steps[last] = one.time - 1


def _find_units(nodes: Sequence[Node], one: Found) -> None:
    """Find the axes of units that no product showed: by their size, which is one of the weights', or as that of `h`."""
    sizes = {size for i in one.chain.weights for size in nodes[i].value.shape if size > 1}
    for kind, ids in one.states.items():
        fits = [axis for axis, size in enumerate(nodes[ids[0]].value.shape) if size in sizes]
        if one.units[kind] is None:
            one.units[kind] = fits[0] if len(fits) == 1 else one.units["h"]


def _leading(nodes: Sequence[Node], one: Found) -> set[int]:
    """Find what leads to a state, of all that depends on the weights' products."""
    steps, inside = one.chain.steps, {i for ids in one.states.values() for i in ids}
    for i in sorted(steps, reverse=True):
        if i in inside:
            for j in nodes[i].inputs:
                if j in steps:
                    inside.add(j)
    return inside


def _prepend(nodes: Sequence[Node], one: Found, taken: set[int]) -> None:
    """See a first step that has no product, such as one without a state: it uses the other weights of the cell."""
    if set(one.initial) != set(one.states) or not taken.isdisjoint(one.initial.values()):
        return
    for kind, start in one.initial.items():
        if nodes[start].op is not nodes[one.states[kind][0]].op or not nodes[start].inputs:
            return
    starts = list(one.initial.values())
    steps = one.chain.steps
    outside = {
        i for node in steps if steps[node] == 1 for i in nodes[node].inputs if i not in steps and i not in starts
    }
    if not _leaves(nodes, starts) & _leaves(nodes, outside):
        return
    for i in steps:
        steps[i] += 1
    one.between = {i: k + 1 for i, k in one.between.items()}
    for kind, start in one.initial.items():
        one.states[kind].insert(0, start)
        steps[start] = 0
    one.initial = {}


def _leaves(nodes: Sequence[Node], start: Sequence[int] | set[int]) -> set[int]:
    seen, todo = set(start), list(start)
    while todo:
        for i in nodes[todo.pop()].inputs:
            if i not in seen:
                seen.add(i)
                todo.append(i)
    return {i for i in seen if nodes[i].op in LEAVES}


def _name(tape: Tape, found: list[Found]) -> None:
    """Name recurrences after their weights, by as much of the path to these as tells them apart."""
    nodes = tape.entries
    paths = [_path(min((str(nodes[i].name) for i in _leaves(nodes, one.chain.weights)), default="recurrence"))  # type: ignore[arg-type]
             for one in found]  # fmt: skip
    for one, path in zip(found, paths, strict=True):
        others = [other for other in paths if other != path and other[-1] == path[-1]]
        apart = [
            part for place, part in enumerate(path[:-1]) if any(part not in other[: place + 1] for other in others)
        ]
        base = "_".join([*apart, path[-1]])
        taken, count = {other.name for other in found}, 0
        while (f"{base}_{count}" if count else base) in taken:
            count += 1
        one.name = f"{base}_{count}" if count else base


def _path(name: str) -> list[str]:
    """Give the parts of a name, a number with what it counts, and without those that say nothing, such as a gate's."""
    path: list[str] = []
    for part in name.split("."):
        if part.isdigit() and path:
            path[-1] += f"_{part}"
        elif not path or (part not in HOLDERS and not (part in GATES and path[-1][:1] in "wWuU")):
            path.append(part)
    return path


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
        for i, k in one.between.items():
            spots[i] = place, k if one.direction == "forward" else last - k
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


def described(nodes: Sequence[Node], found: list[Found]) -> str:
    """Say what was found, in one line."""
    if not found:
        return (
            "no recurrence was found: no weight multiplies what came out of its own product, and nothing is carried "
            "on by steps that repeat; if there is one, declare its states: tape.state of an rnngraph.numpy.ArrayTape"
        )
    parts = []
    for one in found:
        shape = nodes[one.states["h"][0]].value.shape
        units = one.units["h"] if one.units["h"] is not None else len(shape) - 1
        size = shape[units] if shape else 1
        samples = 1 if len(shape) < 2 else shape[1 if units == 0 else 0]
        of = f"{size} unit{'s' * (size != 1)}" + (f", {samples} samples" if samples != 1 else "")
        kinds = " and ".join(one.states)
        reverse = ", from the last step to the first" if one.direction == "reverse" else ""
        parts.append(f"{one.name} (state{'s' * (len(one.states) > 1)} {kinds}, {one.time} steps, {of}{reverse})")
    count = f"{len(found)} recurrences" if len(found) > 1 else "a recurrence"
    return f"found {count}: " + "; ".join(parts)
