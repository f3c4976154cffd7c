"""Which steps of a recurrence are real: not copied over padding, and not cut.

In: routes. Out: for every recurrence, by sample and timestep, whether the step into it copied the state (`copied`,
which is not counted as a lag) and whether nothing leads back over it (`severed`: truncated, or the state was set to
zero). Both are read from the recorded operations, never guessed from values: a state at a fixed point does not
change either.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.model import Booleans
from rnngraph.trace.routes import Routes, StateKey


def transitions(routes: Routes, members: Iterable[StateKey]) -> tuple[Booleans, Booleans]:
    """Give `copied` and `severed`, (N, T) each, of states that are carried together."""
    keys = list(members)
    time = len(keys[0].ids)
    copied, severed = np.ones((routes.batch, time), bool), np.ones((routes.batch, time), bool)
    consumed = _consumed(routes, keys)
    for key in keys:
        order = processing_order(key, time)
        for place, t in enumerate(order):
            before = key.ids[order[place - 1]] if place else key.recurrence.initial.get(key.kind, -1)
            node = routes.tape.nodes[key.ids[t]]
            same, zero = _masked(routes, node, before)
            copied[:, t] &= same
            severed[:, t] &= zero
    for place, t in enumerate(order):
        if place and not consumed.intersection(key.ids[order[place - 1]] for key in keys):
            severed[:, t] = True
    return copied, severed


def processing_order(key: StateKey, time: int) -> list[int]:
    """Give the timesteps in the order in which the recurrence ran."""
    return list(range(time)) if key.recurrence.direction == "forward" else list(range(time - 1, -1, -1))


def _consumed(routes: Routes, keys: list[StateKey]) -> set[int]:
    """Collect the states that a step of the same recurrence reads in a way that a gradient can pass."""
    ahead = {}
    for key in keys:
        order = processing_order(key, len(key.ids))
        ahead.update({key.ids[t]: order[place + 1] for place, t in enumerate(order[:-1])})
    found = set()
    for slot in routes.order:
        if routes.split[slot[0]]:
            continue
        step = routes.step_of(slot)
        for _, (source, _) in routes.targets[slot]:
            if source in ahead and step == ahead[source]:
                found.add(source)
    return found


def _masked(routes: Routes, node: Node, before: int) -> tuple[Array, Array]:
    """Tell for each sample whether `node` is a copy of `before`, and whether it is a constant."""
    batch = routes.batch
    nothing = np.zeros(batch, bool)
    if node.op.name == "where":
        mask = np.broadcast_to(node.options["mask"], node.value.shape).reshape(batch, -1)
        copies, severs = nothing, nothing
        for source, unused in ((node.inputs[0], ~mask.any(axis=1)), (node.inputs[1], mask.all(axis=1))):
            other = node.inputs[1] if source == node.inputs[0] else node.inputs[0]
            copies = copies | (unused if other == before else nothing)
            severs = severs | (unused if not routes.relevant[other] else nothing)
        return copies, severs
    if node.op.name == "multiply":
        zero = nothing
        for source, argument in zip(node.inputs, node.arguments, strict=True):
            if not routes.relevant[source]:
                zero = zero | ~_by_sample(argument, node).any(axis=1)
        return nothing, zero
    if node.op.name == "add":
        factors = [_factor(routes, source, before) for source in node.inputs]
        kept = [factor for factor, is_before in factors if is_before and factor is not None]
        new = [factor for factor, is_before in factors if not is_before and factor is not None]
        if len(kept) == len(new) == 1:
            return (kept[0] == 1).all(axis=1) & (new[0] == 0).all(axis=1), nothing
    return nothing, nothing


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
