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
from rnngraph.sources.anew import starts_anew
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
    closing = [entry.id for entry in tape.entries if entry.op in (MULTIPLY, WHERE) or entry.op.role == "cut"]
    after = (
        _behind(tape, {*one.initial.values(), *(i for ids in one.states.values() for i in ids)}) if closing else set()
    )
    for before, t in pairwise(order if closing else ()):
        starts, ends = ({ids[k] for ids in one.states.values()} for k in (before, t))
        found = _between(tape, starts, ends, after, (batch, one.batch_axis))
        if found is not None:
            cuts[0, t] = not found.any()
            anew[:, t] = (found == ANEW) if found.any() else False
    return cuts if cuts.any() else None, anew if anew.any() else None


def _behind(tape: Tape, states: set[int]) -> set[int]:
    """Give what depends on any state."""
    found = set(states)
    for entry in tape.entries:
        if not found.isdisjoint(entry.inputs):
            found.add(entry.id)
    return found


def _between(
    tape: Tape, starts: set[int], ends: set[int], after: set[int], batch: tuple[int, int | None]
) -> Array | None:
    """Say, by sample, how open the widest way is from the states of one step to the next; None without any.

    What depends on earlier states, `after`, and passes the step before by, is a way too.
    """
    every = np.full(batch[0], OPEN)
    ways: Ways = dict.fromkeys(starts, every)
    for node_id in range(min(starts) + 1, max(ends) + 1):
        node = tape.entry(node_id)
        if isinstance(node, Block) or node.id in starts or after.isdisjoint(node.inputs):
            continue
        known = [
            np.minimum(ways.get(i, every), _lets(tape, node, k, after, batch))
            for k, i in enumerate(node.inputs)
            if i in after
        ]
        ways[node.id] = np.maximum.reduce(known)
    reached = [ways[end] for end in ends if end in ways]
    return np.maximum.reduce(reached) if reached else None


def _lets(tape: Tape, node: Node, place: int, after: set[int], batch: tuple[int, int | None]) -> Array:
    """Say, by sample, what a node lets through of an input: nothing where it is multiplied by zeros, or not chosen."""
    size, axis = batch
    if node.op.role == "cut":
        return np.full(size, CUT)
    if node.op is WHERE:
        passes = np.asarray(node.options["mask"]) == (place == 0)
    elif node.op is MULTIPLY and node.inputs[1 - place] not in after:
        passes = tape.entry(node.inputs[1 - place]).value != 0
    else:
        return np.full(size, OPEN)
    return np.where(starts_anew(passes, node.value.shape, axis, size), ANEW, OPEN)
