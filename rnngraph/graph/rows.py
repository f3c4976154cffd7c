"""The rows of the picture and which row feeds which, from the recorded graph.

A whole-sequence node `(N, T, ...)` becomes a row with one box a timestep, so that neither a projection computed
at once nor the loss is a hub. Nodes that only move data about are passed through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.graph.model import Row
from rnngraph.graph.recorded import LEAVES, Recorded
from rnngraph.graph.tracks import Track
from rnngraph.trace.magnitudes import Floats, Status
from rnngraph.trace.model import Trace

# These move, gather or total data and compute nothing that a reader looks for.
PASSED = frozenset(
    {
        "project",
        "stack",
        "reshape",
        "transpose",
        "index",
        "detach",
        "sum",
        "mean",
        "constant",
        "negate",
    }
)


@dataclass(frozen=True, slots=True)
class Lane:
    """One row with its sources: rows below, by index. `nodes` hold for every step, `key` finds a step's own."""

    row: Row
    label: str
    inputs: tuple[int, ...]
    nodes: tuple[int, ...] = ()
    key: tuple[str, str, int] | None = None  # (scope, op, occurrence) of a node that is recorded every step
    track: Track | None = None


def find_lanes(trace: Trace, recorded: Recorded, tracks: tuple[Track, ...], typical: int) -> tuple[Lane, ...]:
    """Return the rows from the bottom up; `typical` is a shown timestep to read the structure from."""
    lanes = _from_graph(trace, recorded, tracks, typical) if len(recorded.graph.op) else []
    drawn = {id(lane.track) for lane in lanes if lane.track}
    missing = [track for track in tracks if id(track) not in drawn]
    if missing:
        lanes = _from_states(trace, tracks)
    if lanes and not any(lane.row.kind == "loss" for lane in lanes) and loss_steps(trace).any():
        tops = _unused(lanes)
        lanes.append(Lane(Row("loss", "loss"), "L", tops))
    return tuple(lanes)


def loss_steps(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say which timesteps bear a loss, `(T,)`: a known part of it, or a gradient that enters from above."""
    known: Floats = trace.loss_steps
    if not np.isnan(known).all():
        return ~np.isnan(known)
    bears = np.zeros(trace.timesteps, dtype=np.bool_)
    top = max((state.layer for state in trace.states), default=0)
    for state in trace.states:
        if state.layer == top:
            bears |= np.isin(state.immediate.status, (Status.OK, Status.UNDERFLOW, Status.NONFINITE))
    return bears


def step_key(node: int, recorded: Recorded, seen: dict[tuple[str, str], int]) -> tuple[str, str, int]:
    """Name a node so that its counterpart at another timestep has the same name."""
    place = recorded.scope(node), recorded.op(node)
    seen[place] = seen.get(place, -1) + 1
    return (*place, seen[place])


def _from_graph(trace: Trace, recorded: Recorded, tracks: tuple[Track, ...], typical: int) -> list[Lane]:
    at_step = recorded.by_step.get(typical, [])
    relevant = sorted((*recorded.outside, *at_step))
    among = np.asarray(relevant)
    lanes: list[Lane] = []
    index: dict[int, int] = {}  # a track's number -> its row
    feeds: dict[int, tuple[int, ...]] = {}  # node -> the rows that its value comes from
    seen: dict[tuple[str, str], int] = {}
    for node in relevant:
        inputs = recorded.inputs(node)
        sources = inputs[np.isin(inputs, among)].tolist() if len(inputs) > 8 else inputs.tolist()
        rows = tuple(dict.fromkeys(row for source in sources for row in feeds.get(source, ())))
        op, scope = recorded.op(node), recorded.scope(node)
        inside = recorded.graph.timestep[node] >= 0
        which = next((n for n, track in enumerate(tracks) if track.owns(scope)), -1) if inside else -1
        if which >= 0:
            track = tracks[which]
            own = index.get(which)
            if own is None:
                own = index[which] = len(lanes)
                lanes.append(_track_lane(track, rows))
            else:
                merged = dict.fromkeys((*lanes[own].inputs, *(row for row in rows if row != own)))
                lanes[own] = _track_lane(track, tuple(merged))
            feeds[node] = (own,)
        elif op in LEAVES or (op in PASSED or not (inside or _is_sequence(node, trace, recorded))):
            feeds[node] = rows
        else:
            key = step_key(node, recorded, seen) if inside else None
            feeds[node] = (len(lanes),)
            lanes.append(_op_lane(node, rows, key, recorded))
    return _connected(lanes)


def _is_sequence(node: int, trace: Trace, recorded: Recorded) -> bool:
    shape = recorded.shape(node)
    if shape[:2] != (trace.batch, trace.timesteps):
        return False
    # (N, T) alone may be anything, such as features of size T; only a loss is known to be one number a step.
    return len(shape) > 2 or _is_loss(recorded.op(node))


def _is_loss(op: str) -> bool:
    return "softmax" in op or "loss" in op or "entropy" in op


def _op_lane(node: int, inputs: tuple[int, ...], key: tuple[str, str, int] | None, recorded: Recorded) -> Lane:
    op = recorded.op(node)
    name = recorded.graph.names.get(str(node)) or recorded.scope(node) or recorded.label(node)
    if op == "input":
        return Lane(Row(name, "input"), name, inputs, (node,), key)
    if _is_loss(op):
        return Lane(Row("loss", "loss"), "L", inputs, (node,), key)
    return Lane(Row(name, "op"), recorded.label(node), inputs, (node,), key)


def _track_lane(track: Track, inputs: tuple[int, ...]) -> Lane:
    return Lane(Row(track.name, "track", track.layer, track.direction), track.cell, inputs, track=track)


def _connected(lanes: list[Lane]) -> list[Lane]:
    """Drop rows that neither feed a recurrent layer nor come from one, such as a mask given as an input."""
    wanted = {number for number, lane in enumerate(lanes) if lane.track or lane.row.kind == "loss"}
    if not wanted:  # one layer on its own, such as an embedding
        return lanes
    for number in range(len(lanes) - 1, -1, -1):
        if number in wanted:
            wanted.update(lanes[number].inputs)
    for number, lane in enumerate(lanes):
        if wanted.intersection(lane.inputs):
            wanted.add(number)
    kept = {number: position for position, number in enumerate(sorted(wanted))}
    return [
        Lane(
            lane.row,
            lane.label,
            tuple(kept[row] for row in lane.inputs if row in kept),
            lane.nodes,
            lane.key,
            lane.track,
        )
        for number, lane in enumerate(lanes)
        if number in kept
    ]


def _from_states(trace: Trace, tracks: tuple[Track, ...]) -> list[Lane]:
    """Stack the layers as every recurrent stack does, where no recorded graph says how."""
    name = trace.inputs[0].name if trace.inputs else "x"
    lanes = [Lane(Row(name, "input"), name, ())]
    below: tuple[int, ...] = (0,)
    for layer in sorted({track.layer for track in tracks}):
        here = [track for track in tracks if track.layer == layer]
        first = len(lanes)
        lanes.extend(_track_lane(track, below) for track in here)
        below = tuple(range(first, len(lanes)))
        if len(here) > 1:
            lanes.append(Lane(Row("concat", "op"), "concat", below))
            below = (len(lanes) - 1,)
    return lanes


def _unused(lanes: list[Lane]) -> tuple[int, ...]:
    used = {row for lane in lanes for row in lane.inputs}
    return tuple(number for number in range(len(lanes)) if number not in used)
