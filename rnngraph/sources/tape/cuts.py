"""Where a recurrence whose states are nodes is cut: as declared, or else by a `detach` on every way between two.

In: a tape and a recurrence. Out: (N or 1, T) booleans, or None.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans


def cuts_of(tape: Tape, recurrence: Recurrence) -> Booleans | None:
    """Give the cuts of a recurrence."""
    if recurrence.cuts is not None or recurrence.cell is not None:
        return recurrence.cuts
    if not any(entry.op.role == "cut" for entry in tape.entries):
        return None
    time = recurrence.timesteps
    order = range(time - 1, -1, -1) if recurrence.reverse else range(time)
    found = np.zeros((1, time), bool)
    for before, t in pairwise(order):
        ends = {ids[t] for ids in recurrence.states.values()}
        starts = {ids[before] for ids in recurrence.states.values()}
        found[0, t] = _is_cut(tape, starts, ends)
    return found if found.any() else None


def _is_cut(tape: Tape, starts: set[int], ends: set[int]) -> bool:
    """Whether ways lead from states of one step to those of the next, and every one through a detach."""
    open_ways, cut_ways = set(starts), set[int]()
    for node_id in range(min(starts) + 1, max(ends) + 1):
        entry = tape.entry(node_id)
        if isinstance(entry, Block) or entry.id in starts:
            continue
        if not open_ways.isdisjoint(entry.inputs):
            (cut_ways if entry.op.role == "cut" else open_ways).add(entry.id)
        elif not cut_ways.isdisjoint(entry.inputs):
            cut_ways.add(entry.id)
    return not cut_ways.isdisjoint(ends) and open_ways.isdisjoint(ends)
