"""Which recurrences a tape holds: what is carried along chains and ways, and which of it is one recurrence.

In: the nodes of a tape. Out: `Found`s, in the order in which their first states were computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.numpy.finding.carried import find_starts, find_states
from rnngraph.numpy.finding.chains import Chain, find_chains
from rnngraph.numpy.finding.direction import Made, find_direction, has_own_weights, places_of
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import leaves_behind, number_values
from rnngraph.numpy.finding.ways import find_ways
from rnngraph.numpy.tape import ArrayTape


def find_all(tape: ArrayTape, nodes: Sequence[Node], numbers: Sequence[int], steps: int | None) -> list[Found]:
    """Find the recurrences: by their weights, and in what is left by the ways that repeat."""
    taken = set[int]()
    found = _found(nodes, numbers, find_chains(nodes, numbers, steps), taken, steps)
    found = found or _found(nodes, numbers, find_chains(nodes, number_values(nodes, alike=True), steps), taken, steps)
    found += _found(nodes, numbers, find_ways(nodes, taken), taken, steps)
    found.sort(key=lambda one: one.states["h"][0])
    listed: Made = {node.id: tape.lists[node.name] for node in nodes if node.name in tape.lists}
    made = dict(listed)
    for one in found:
        _complete(tape, one)
        one.direction = find_direction(nodes, one, made)
        made |= one.made(len(made))
    return _weave(nodes, found, listed)


def _found(
    nodes: Sequence[Node], numbers: Sequence[int], chains: list[Chain], taken: set[int], steps: int | None
) -> list[Found]:
    """Find what is carried along chains, unless it is `taken`: inside of another recurrence."""
    found = []
    for chain in chains:
        one = find_states(nodes, chain)
        if one is None:
            continue
        one.inside = _leading(nodes, one)
        if nodes[one.states["h"][0]].op is ASSEMBLE:
            _step_on(nodes, one)
        told = steps == one.time or not has_own_weights(nodes, numbers, one)
        if told and (chain.weighed_along or _is_fed_alone(nodes, one)) and taken.isdisjoint(one.made("")):
            if taken.isdisjoint(one.initial.values()) and _prepend(nodes, one):
                one.inside = _leading(nodes, one)
            taken |= one.inside
            found.append(one)
    return found


def _leading(nodes: Sequence[Node], one: Found) -> set[int]:
    """Find what leads to a state, of all that depends on the weights' products."""
    steps, inside = one.chain.steps, set(one.made(""))
    for i in sorted(steps, reverse=True):
        if i in inside:
            for j in nodes[i].inputs:
                if j in steps:
                    inside.add(j)
    return inside


def _is_fed_alone(nodes: Sequence[Node], one: Found) -> bool:
    """Whether something new enters at every step, and nothing of earlier ones but states and what follows from one.

    Of a loop over units, a step reads the other units.
    """
    if len(places_of(nodes, one, {})[1] - {0}) < one.time - 1:
        return False
    steps, following = one.chain.steps, set(one.made(""))
    for i in sorted(one.inside):
        own = [j for j in nodes[i].inputs if j in one.inside]
        if any(j not in following and steps[j] < steps[i] for j in own):
            return False
        if own and all(j in following and steps[j] == steps[i] for j in own):
            following.add(i)
    return True


def _step_on(nodes: Sequence[Node], one: Found) -> None:
    """Put what reads a part of a state at the step after it, also where slower parts have weights of their own."""
    steps, made = one.chain.steps, {i: k for i, (_, k) in one.made("").items()}
    for i in sorted(one.inside - made.keys()):
        behind = [made[j] + 1 if j in made else steps[j] for j in nodes[i].inputs if j in one.inside]
        steps[i] = max([steps[i], *behind])


def _prepend(nodes: Sequence[Node], one: Found) -> bool:
    """See a first step that has no product, such as one without a state: it uses the other weights of the cell."""
    steps, starts = one.chain.steps, set(one.initial.values())
    pairs = [(nodes[start], nodes[one.states[kind][0]]) for kind, start in one.initial.items()]
    if len(pairs) < len(one.states) or any(start.op is not state.op for start, state in pairs):
        return False
    outside = {i for node in steps if steps[node] == 1 for i in nodes[node].inputs if i not in steps} - starts
    if leaves_behind(nodes, starts).isdisjoint(leaves_behind(nodes, outside)):
        return False
    first = dict.fromkeys(starts, 0)
    for node in nodes[min(starts) :]:  # and what reads no other state, such as its readout
        if node.id not in steps and not first.keys().isdisjoint(node.inputs):
            first[node.id] = 0
    one.chain.steps = {i: k + 1 for i, k in steps.items()} | first
    one.states = {kind: [one.initial[kind], *ids] for kind, ids in one.states.items()}
    one.initial = find_starts(nodes, one)
    return True


def _complete(tape: ArrayTape, one: Found) -> None:
    """Put a last state on the tape that leads nowhere: nothing reaches it."""
    for kind, made in one.unread.items():
        last = tape.append(CONSTANT, (), tape.entries[made].value, requires=False)
        one.states[kind].append(last)
        one.inside.add(last)
        one.chain.steps[last] = one.time - 1


def _weave(nodes: Sequence[Node], found: list[Found], listed: Made) -> list[Found]:
    """Put runs of one cell that take turns along one sequence together, as where a state is read two steps back.

    They read the places of one array, a list, or what a layer below made, in turns.
    """
    groups: dict[object, list[Found]] = {}
    for one in found:
        groups.setdefault((*one.chain.weights, *one.states, one.direction), []).append(one)
    woven, made = list[Found](), dict(listed)
    for runs in groups.values():
        turns = _turns(nodes, runs, made) if len(runs) > 1 else []
        for one in [_together(turns)] if turns else runs:
            made |= one.made(len(woven))
            woven.append(one)
    return woven


def _turns(nodes: Sequence[Node], runs: list[Found], made: Made) -> list[Found]:
    """Give the runs in the order of their turns; none where they do not take turns."""
    places = [places_of(nodes, one, made)[0] for one in runs]
    for source in places[0]:
        read = [(place, k, run) for run, at in enumerate(places) for k, place in at.get(source, {}).items()]
        read.sort(reverse=runs[0].direction == "reverse")
        order = list(dict.fromkeys(run for _, _, run in read))
        turns = [(k, run) for k in range(max(one.time for one in runs)) for run in order if k < runs[run].time]
        apart = len({place for place, _, _ in read}) == len(read) and len(order) == len(runs)
        if apart and [(k, run) for _, k, run in read] == turns:
            return [runs[run] for run in order]
    return []


def _together(runs: list[Found]) -> Found:
    count = len(runs)

    def later(times: Sequence[dict[int, int]]) -> dict[int, int]:
        return {i: k * count + turn for turn, some in enumerate(times) for i, k in some.items()}

    first = runs[0]
    chain = Chain(
        sorted(use for one in runs for use in one.chain.clock), first.chain.weights,
        set[int]().union(*(one.chain.weighed for one in runs)), later([one.chain.steps for one in runs]),
    )  # fmt: skip
    states = {
        kind: [runs[k % count].states[kind][k // count] for k in range(sum(one.time for one in runs))]
        for kind in first.states
    }
    inside = set[int]().union(*(one.inside for one in runs))
    starts = frozenset(start for one in runs for start in one.initial.values())
    return Found(
        chain, states, {}, first.units, inside=inside, direction=first.direction, woven_starts=starts
    )  # fmt: skip
