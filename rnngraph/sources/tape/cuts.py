"""Where the steps of a recurrence whose states are nodes do not go on: kept over padding, cut, or started anew.

In: a tape and a recurrence. Out: what was declared; else the samples that stay as they are where a choice or a product
with zeros takes their new state away, the steps between which every way leads through a `detach`, and the samples of
which every way leads through such a choice or product, as where an episode begins.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.again import depending
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.ops import MULTIPLY, WHERE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.sources.anew import starts_anew
from rnngraph.sources.tape.inputs import batch_of
from rnngraph.trace.magnitudes import Booleans

CUT, ANEW, OPEN = 0, 1, 2
Closing: TypeAlias = dict[tuple[int, int], Array]  # node id and place of an input -> (N,) how far it lets through


def breaks_of(tape: Tape, one: Recurrence) -> tuple[Booleans | None, Booleans | None, Booleans | None]:
    """Give the steps that are taken and no copies, (N, T), those that are cut, (1, T), and where samples start anew."""
    if one.cuts is not None or one.cell is not None:
        return (one.mask, one.cuts, None) if one.cuts is None or len(one.cuts) == 1 else (one.mask, None, one.cuts)
    batch = batch_of(tape, one)
    cuts, anew = np.zeros((1, one.timesteps), bool), np.zeros((batch, one.timesteps), bool)
    taken = ~anew
    states = {*one.initial.values(), *(i for ids in one.states.values() for i in ids)}
    after = {tape.entries[place].id for place in depending(tape, states)}
    closing = _closing(tape, after, batch, one.batch_axis)
    if not closing:
        return one.mask, None, None
    places: dict[int, list[Array]] = {}
    for (node_id, _), lets in closing.items():
        places.setdefault(node_id, []).append(lets)
    for before, t in pairwise(range(one.timesteps - 1, -1, -1) if one.reverse else range(one.timesteps)):
        starts, ends = ({ids[k] for ids in one.states.values()} for k in (before, t))
        steps = range(min(starts) + 1, max(ends) + 1)
        masked = [lets for node_id in steps for lets in places.get(node_id, ())]
        if not masked:
            continue
        ways = dict.fromkeys(starts, np.full(batch, OPEN))
        _walk(tape, steps, ways, after, closing)
        reached = [ways[end] for end in ends if end in ways]
        if reached:
            found = np.maximum.reduce(reached)
            cuts[0, t], anew[:, t] = not found.any(), found == ANEW
            taken[:, t] = (np.minimum.reduce(masked) != ANEW) | (found != OPEN) | ~_same(tape, one, before, t, batch)
    mask = one.mask if one.mask is not None or taken.all() else taken
    return mask, cuts if cuts.any() else None, anew if anew.any() else None


def _same(tape: Tape, one: Recurrence, before: int, t: int, batch: int) -> Array:
    """Tell the samples of which all states are what they were, but for a last one that no node made nor reads."""
    some = [[tape.entry(ids[k]) for k in (before, t)] for ids in one.states.values()]
    pairs = [(a.value, b.value) for a, b in some if b.op is not CONSTANT]
    axis = one.batch_axis or 0
    alike = [np.moveaxis(np.atleast_1d(a == b), axis, 0).reshape(batch, -1).all(axis=1) for a, b in pairs]
    return np.asarray(np.logical_and.reduce(alike))


def _closing(tape: Tape, after: set[int], batch: int, axis: int | None) -> Closing:
    """Find what lets nothing through of some samples: a `detach`, a factor or a condition that no state made."""
    found: Closing = {}
    for node in tape.entries:
        if not isinstance(node, Node) or after.isdisjoint(node.inputs):
            continue
        for place, i in enumerate(node.inputs):
            if i not in after:
                continue
            if node.op.role == "cut":
                found[node.id, place] = np.full(batch, CUT)
                continue
            if node.op is WHERE:
                passes = np.asarray(node.options["mask"]) == (place == 0)
            elif node.op is MULTIPLY and node.inputs[1 - place] not in after:
                passes = tape.entry(node.inputs[1 - place]).value != 0
            else:
                continue
            nothing = starts_anew(passes, node.value.shape, axis, batch)
            if nothing.any():
                found[node.id, place] = np.where(nothing, ANEW, OPEN)
    return found


def _walk(tape: Tape, steps: range, ways: dict[int, Array], after: set[int], closing: Closing) -> None:
    """Say of every node, by sample, how open the widest way to it is; what passes the step before by is open too."""
    every = next(iter(ways.values()))
    for node_id in steps:
        node = tape.entry(node_id)
        if isinstance(node, Block) or node.id in ways or after.isdisjoint(node.inputs):
            continue
        known = [
            np.minimum(ways.get(i, every), closing.get((node.id, place), every))
            for place, i in enumerate(node.inputs)
            if i in after
        ]
        ways[node.id] = np.maximum.reduce(known)
