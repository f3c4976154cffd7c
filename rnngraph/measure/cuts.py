"""Find where a recurrence was cut by `detach`: truncated BPTT, or a cell that detaches its own state."""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans


def cuts(tape: Tape, recurrence: Recurrence, kind: str) -> Booleans:
    """Find the timesteps whose incoming recurrence was cut, (T,)."""
    ids = recurrence.states[kind]
    cut = np.zeros(len(ids), dtype=bool)
    detached = [node for node in tape.nodes if node.op.name == "detach"]
    if not detached:
        return cut
    if recurrence.cell == "custom":
        for t in range(1, len(ids)):
            cut[t] = _cut_between(tape, ids[t - 1], ids[t])
        return cut
    # A layer's own detach is always a cut; with a mask, the samples that copy their state keep their way back.
    place = {node_id: t for t, node_id in enumerate(ids)}
    ahead = 1 if recurrence.direction == "forward" else -1
    for node in detached:
        t = place.get(node.inputs[0], -2) + ahead
        if node.inputs[0] in place and 0 <= t < len(ids) and node.timestep in (-1, t):
            cut[t] = True
    return cut


def _cut_between(tape: Tape, before: int, after: int) -> bool:
    """Whether every way from one state to the next leads through a detach, and there is one that does."""
    open_ways, cut_ways = {before}, set[int]()
    for node in tape.nodes[before + 1 : after + 1]:
        if not open_ways.isdisjoint(node.inputs):
            (cut_ways if node.op.name == "detach" else open_ways).add(node.id)
        elif not cut_ways.isdisjoint(node.inputs):
            cut_ways.add(node.id)
    return after in cut_ways and after not in open_ways
