"""Which steps of a recurrence are real: not copied over padding, and not cut.

In: routes. Out: for every recurrence, by sample and timestep, whether the step into it copied the state (`copied`,
which is not counted as a lag) and whether nothing leads back over it (`severed`: truncated, or the state was set to
zero). Both are read from the recorded operations, never guessed from values: a state at a fixed point does not
change either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.routes import WHOLE, Routes, Slot, StateKey


def transitions(routes: Routes, members: Iterable[StateKey]) -> tuple[Booleans, Booleans]:
    """Give `copied` and `severed`, (N, T) each, of states that are carried together."""
    keys = list(members)
    time = len(keys[0].ids)
    order = processing_order(keys[0], time)
    copied, severed = np.ones((routes.batch, time), bool), np.zeros((routes.batch, time), bool)
    for key in keys:
        for place, t in enumerate(order):
            before = key.ids[order[place - 1]] if place else key.recurrence.initial.get(key.kind, -1)
            copied[:, t] &= _copies(routes, routes.tape.nodes[key.ids[t]], before)
    way = np.zeros((time + 1, routes.batch), np.int64)  # reads that lead back over a step
    for place, found in enumerate(_reads(routes, keys, order)):
        for earlier, passes in found:
            way[earlier + 1] += passes
            way[place + 1] -= passes
    closed = np.cumsum(way, axis=0)[:-1] == 0
    severed[:, order[1:]] = closed[1:].T
    return copied, severed


def processing_order(key: StateKey, time: int) -> list[int]:
    """Give the timesteps in the order in which the recurrence ran."""
    return list(range(time)) if key.recurrence.direction == "forward" else list(range(time - 1, -1, -1))


Read: TypeAlias = tuple[int, Booleans]  # the place of the state that is read, and the samples in which anything passes


def _reads(routes: Routes, keys: list[StateKey], order: list[int]) -> list[list[Read]]:
    """Find, for every place in processing order, the earlier states that its step reads, on whatever way."""
    places = {key.ids[t]: place for key in keys for place, t in enumerate(order)}
    reads = []
    for place, t in enumerate(order):
        found: list[Read] = []
        passing: dict[Slot, Array] = {(key.ids[t], WHOLE): np.ones(routes.batch, bool) for key in keys}
        for slot in _step_slots(routes, [slot for slot in passing if slot in routes.targets], places, place):
            node = routes.tape.nodes[slot[0]]
            for _, target in routes.targets[slot]:
                passes = passing[slot] & ~_shut(routes, node, target[0])
                if places.get(target[0], place) < place:
                    found.append((places[target[0]], passes))
                else:
                    passing[target] = passing[target] | passes if target in passing else passes
        reads.append(found)
    return reads


def _step_slots(routes: Routes, states: list[Slot], places: dict[int, int], place: int) -> list[Slot]:
    """Collect what lies behind the states of one place, up to other states; consumers first."""
    waiting, seen = list(states), set(states)
    while waiting:
        for _, target in routes.targets[waiting.pop()]:
            inside = places[target[0]] == place if target[0] in places else target[0] not in routes.measured
            if inside and target not in seen:
                seen.add(target)
                waiting.append(target)
    return sorted(seen, key=lambda slot: routes.position[slot])


def reads_further(routes: Routes, keys: list[StateKey], order: list[int]) -> bool:
    """Tell whether a step reads a state that is more than one step old."""
    return any(earlier < place - 1 for place, found in enumerate(_reads(routes, keys, order)) for earlier, _ in found)


def _shut(routes: Routes, node: Node, source: int) -> Array:
    """Tell for each sample whether a node lets nothing of one of its inputs through."""
    nothing = np.zeros(routes.batch, bool)
    if node.value.shape[:1] != (routes.batch,) or len(set(node.inputs)) != 2:
        return nothing
    place = node.inputs.index(source)
    if node.op.name == "where":
        mask = _by_sample(node.options["mask"], node)
        return np.asarray(mask.all(axis=1) if place else ~mask.any(axis=1))
    if node.op.name == "multiply" and not routes.relevant[node.inputs[1 - place]]:
        return np.asarray(~_by_sample(node.arguments[1 - place], node).any(axis=1))
    return nothing


def _copies(routes: Routes, node: Node, before: int) -> Array:
    """Tell for each sample whether `node` is a copy of the state `before`."""
    nothing = np.zeros(routes.batch, bool)
    if node.op.name == "where" and before in node.inputs and node.inputs[0] != node.inputs[1]:
        return _shut(routes, node, node.inputs[1 - node.inputs.index(before)])
    if node.op.name != "add":
        return nothing
    stepped = _step_towards(routes, node, before)
    if stepped is not None:
        return np.asarray((stepped == 0).all(axis=1))
    factors = [_factor(routes, source, before) for source in node.inputs]
    kept = [factor for factor, is_before in factors if is_before and factor is not None]
    new = [factor for factor, is_before in factors if not is_before and factor is not None]
    if len(kept) == len(new) == 1:
        return np.asarray((kept[0] == 1).all(axis=1) & (new[0] == 0).all(axis=1))
    return nothing


def _step_towards(routes: Routes, node: Node, before: int) -> Array | None:
    """Read `before + constant * (new - before)` as the constant."""
    if before not in node.inputs:
        return None
    moved = routes.tape.nodes[node.inputs[1 - node.inputs.index(before)]]
    if moved.op.name != "multiply":
        return None
    for place in (0, 1):
        change = routes.tape.nodes[moved.inputs[1 - place]]
        if not routes.relevant[moved.inputs[place]] and change.op.name == "subtract" and change.inputs[1] == before:
            return _by_sample(moved.arguments[place], node)
    return None


def _factor(routes: Routes, source: int, before: int) -> tuple[Array | None, bool]:
    """Read `constant * state` as the constant, and whether the state is `before`."""
    node = routes.tape.nodes[source]
    if node.op.name != "multiply":
        return None, False
    for place, other in ((0, 1), (1, 0)):
        if not routes.relevant[node.inputs[place]]:
            return _by_sample(node.arguments[place], node), node.inputs[other] == before
    return None, False


def _by_sample(argument: Array, node: Node) -> Array:
    return np.broadcast_to(argument, node.value.shape).reshape(len(node.value), -1)
