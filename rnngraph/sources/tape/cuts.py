"""Where the steps of a recurrence whose states are nodes do not go on: cut by a `detach`, or started anew.

In: a tape and a recurrence. Out: what was declared; else the steps between which every way leads through a `detach`,
and the samples of which every way leads through a product with zeros or a choice, as where an episode begins.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MULTIPLY, WHERE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans

Ways: TypeAlias = dict[int, Array]  # node id -> (N,) how far a way is open
CUT, ANEW, OPEN = 0, 1, 2


def cuts_of(tape: Tape, one: Recurrence) -> tuple[Booleans | None, Booleans | None]:
    """Give the steps that are cut, (1, T), and those at which a sample starts anew, (N, T)."""
    if one.cuts is not None or one.cell is not None:
        return (one.cuts, None) if one.cuts is None or len(one.cuts) == 1 else (None, one.cuts)
    shape = tape.entry(one.node_ids(one.kinds[0])[0]).value.shape
    batch = 1 if one.batch_axis is None else shape[one.batch_axis]
    cuts, anew = np.zeros((1, one.timesteps), bool), np.zeros((batch, one.timesteps), bool)
    order = range(one.timesteps - 1, -1, -1) if one.reverse else range(one.timesteps)
    for before, t in pairwise(order):
        starts, ends = ({ids[k] for ids in one.states.values()} for k in (before, t))
        found = _between(tape, starts, ends, (batch, one.batch_axis))
        if found is not None:
            cuts[0, t] = not found.any()
            anew[:, t] = (found == ANEW) if found.any() else False
    return cuts if cuts.any() else None, anew if anew.any() else None


def _between(tape: Tape, starts: set[int], ends: set[int], batch: tuple[int, int | None]) -> Array | None:
    """Say, by sample, how open the widest way is from the states of one step to the next; None without any."""
    ways: Ways = {start: np.full(batch[0], OPEN) for start in starts}
    for node_id in range(min(starts) + 1, max(ends) + 1):
        node = tape.entry(node_id)
        if isinstance(node, Block) or node.id in starts or ways.keys().isdisjoint(node.inputs):
            continue
        known = [np.minimum(ways[i], _lets(tape, node, k, ways, batch)) for k, i in enumerate(node.inputs) if i in ways]
        ways[node.id] = np.maximum.reduce(known)
    reached = [ways[end] for end in ends if end in ways]
    return np.maximum.reduce(reached) if reached else None


def _lets(tape: Tape, node: Node, place: int, ways: Ways, batch: tuple[int, int | None]) -> Array:
    """Say, by sample, what a node lets through of an input: nothing where it is multiplied by zeros, or not chosen."""
    size, axis = batch
    if node.op.role == "cut":
        return np.full(size, CUT)
    if node.op is WHERE:
        passes = np.asarray(node.options["mask"]) == (place == 0)
    elif node.op is MULTIPLY and node.inputs[1 - place] not in ways:
        passes = tape.entry(node.inputs[1 - place]).value != 0
    else:
        return np.full(size, OPEN)
    if passes.all():
        return np.full(size, OPEN)
    whole = np.broadcast_to(passes, node.value.shape)
    rows = whole.reshape(1, -1) if axis is None else np.moveaxis(whole, axis, 0).reshape(whole.shape[axis], -1)
    return np.where(rows.any(axis=1), OPEN, ANEW) if len(rows) == size else np.full(size, OPEN)
