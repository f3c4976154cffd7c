"""Which steps of a recurrence are real: not copied over padding, and not cut.

In: routes. Out: for every recurrence, by sample and timestep, whether the step into it copied the state (`copied`,
which is not counted as a lag) and whether nothing leads back over it (`severed`: truncated, or the state was set to
zero). Both are read from the recorded operations, never guessed from values: a state at a fixed point does not
change either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.measure.combine import CONSTANT, LINEAR, combination
from rnngraph.trace.magnitudes import Booleans
from rnngraph.measure.routes import WHOLE, Routes, Slot, StateKey


@dataclass(frozen=True, slots=True)
class Transitions:
    """What the steps of states that are carried together do, by sample and timestep, (N, T)."""

    copied: Booleans
    severed: Booleans
    # (T, T) by place in processing order: whether any way leads from a state back to another. None where every step
    # reads the state before it and no other, so that `severed` says it all.
    connected: Booleans | None


def transitions(routes: Routes, members: Iterable[StateKey]) -> Transitions:
    """Find which steps of states that are carried together copied them, and over which nothing leads back."""
    keys = list(members)
    time = len(keys[0].ids)
    order = processing_order(keys[0], time)
    copied, severed = np.ones((routes.batch, time), bool), np.zeros((routes.batch, time), bool)
    for key in keys:
        for place, t in enumerate(order):
            before = key.ids[order[place - 1]] if place else key.recurrence.initial.get(key.kind, -1)
            copied[:, t] &= _copies(routes, key.ids[t], before)
    way = np.zeros((time + 1, routes.batch), np.int64)  # reads that lead back over a step
    reads = _reads(routes, keys, order)
    for place, found in enumerate(reads):
        for earlier, passes in found:
            way[earlier + 1] += passes
            way[place + 1] -= passes
    closed = np.cumsum(way, axis=0)[:-1] == 0
    severed[:, order[1:]] = closed[1:].T
    return Transitions(copied, severed, _connected(reads))


def _connected(reads: list[list[Read]]) -> Booleans | None:
    if all(earlier == place - 1 for place, found in enumerate(reads) for earlier, _ in found):
        return None
    connected = np.eye(len(reads), dtype=bool)
    for place, found in enumerate(reads):
        for earlier, _ in found:
            connected[place] |= connected[earlier]
    return connected


def processing_order(key: StateKey, time: int) -> list[int]:
    """Give the timesteps in the order in which the recurrence ran."""
    return list(range(time)) if key.recurrence.direction == "forward" else list(range(time - 1, -1, -1))


Read: TypeAlias = tuple[int, Booleans]  # the place of the state that is read, and the samples in which anything passes


def _reads(routes: Routes, keys: list[StateKey], order: list[int], *, through: bool = True) -> list[list[Read]]:
    """Find, for every place in processing order, the earlier states that its step reads, on whatever way.

    A cell that was declared state by state is seen `through` the states of the others.
    """
    places = {key.ids[t]: place for key in keys for place, t in enumerate(order)}
    others = {
        node_id: t
        for key in routes.states
        if through and key.recurrence.cell == "custom"
        for t, node_id in enumerate(key.ids)
        if node_id not in places
    }
    reads = []
    for place, t in enumerate(order):
        open_others = {node_id for node_id, step in others.items() if step in (t, *order[max(place - 1, 0) : place])}
        found: list[Read] = []
        passing: dict[Slot, Array] = {(key.ids[t], WHOLE): np.ones(routes.batch, bool) for key in keys}
        for slot in _step_slots(routes, [slot for slot in passing if slot in routes.targets], places, open_others):
            for target, passes in _passed(routes, slot, passing[slot]) if slot in passing else ():
                if places.get(target[0], place) < place:
                    found.append((places[target[0]], passes))
                elif places.get(target[0], place) == place:
                    passing[target] = passing[target] | passes if target in passing else passes
        reads.append(found)
    return reads


def _step_slots(routes: Routes, states: list[Slot], places: dict[int, int], others: set[int]) -> list[Slot]:
    """Collect what lies behind the states of one place, up to other states; consumers first."""
    waiting, seen = list(states), set(states)
    here = {places[slot[0]] for slot in states}
    while waiting:
        for _, target in routes.targets[waiting.pop()]:
            if target[0] in places:
                inside = places[target[0]] in here
            else:
                inside = target[0] not in routes.measured or target[0] in others
            if inside and target not in seen:
                seen.add(target)
                waiting.append(target)
    return sorted(seen, key=lambda slot: routes.position[slot])


def _passed(routes: Routes, slot: Slot, passing: Array) -> list[tuple[Slot, Array]]:
    """Give where a gradient goes from a slot, and in which samples anything of it gets there."""
    targets = [target for _, target in routes.targets[slot]]
    node = routes.tape.nodes[slot[0]]
    if slot[1] != WHOLE or node.op.name not in LINEAR or any(routes.split[source] for source in node.inputs):
        return [(target, passing) for target in targets]
    found = []
    parts = combination(routes, node.id)
    if (node.id, 0) in parts:  # it cannot be taken apart
        return [(target, passing) for target in targets]
    for (source, offset), factor in parts.items():
        target = source, WHOLE
        if target in routes.targets:
            same = offset == 0 and factor.shape == passing.shape
            found.append((target, passing & (factor != 0) if same else passing & bool(factor.any())))
    return found


def unseen_ways(routes: Routes, keys: list[StateKey], order: list[int]) -> str:
    """Say what a step reads that is not in the states of the last one: nothing, where these are the whole state."""
    alone, all_ways = (
        [{earlier for earlier, _ in found} for found in _reads(routes, keys, order, through=through)]
        for through in (False, True)
    )
    if alone != all_ways:
        return "states that were declared by another name"
    older = any(earlier < place - 1 for place, found in enumerate(alone) for earlier in found)
    return "states from before the last one" if older else ""


def _copies(routes: Routes, node_id: int, before: int) -> Array:
    """Tell for each sample whether a state is a copy of the one before, taken in place of another that there was."""
    nothing = np.zeros(routes.batch, bool)
    if routes.tape.nodes[node_id].op.name not in LINEAR:
        return nothing
    parts = dict(combination(routes, node_id))
    own = parts.pop((before, 0), nothing)
    if not any(source != CONSTANT for source, _ in parts):  # such as h * 1.0, which is a step like any other
        return nothing
    return np.asarray((own == 1) & np.all([factor == 0 for factor in parts.values()], axis=0))
