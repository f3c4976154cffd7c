"""The rows of the picture and which row feeds which, from the recorded graph.

A whole-sequence node `(N, T, ...)` becomes a row with one box a timestep, so that neither a projection computed
at once nor the loss is a hub. Nodes that only move data about are passed through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.build.tracks import Track
from rnngraph.graph.model import Row
from rnngraph.trace.magnitudes import Booleans, Floats, Status
from rnngraph.trace.model import Trace

StepKey = tuple[str, str, int]  # scope, op and occurrence of a node that is recorded every step


@dataclass(frozen=True, slots=True)
class RowSource:
    """What a row is made of. `nodes` hold for every step, `key` finds a step's own; `inputs` are rows, by index."""

    row: Row
    label: str
    inputs: tuple[int, ...]
    timesteps: int  # its own
    nodes: tuple[int, ...] = ()
    key: StepKey | None = None
    track: Track | None = None


def find_rows(trace: Trace, recorded: Recorded, tracks: Sequence[Track], typical: int) -> tuple[RowSource, ...]:
    """Return the rows from the bottom up; `typical` is a shown timestep to read the structure from."""
    sources = _Reader(trace, recorded, tracks).read(typical) if len(recorded.graph.op) else []
    if len([source for source in sources if source.track]) < len(tracks):
        sources = _from_states(trace, tracks)
    if sources and not any(source.row.kind == "loss" for source in sources) and loss_steps(trace).any():
        used = {row for source in sources for row in source.inputs}
        tops = tuple(number for number in range(len(sources)) if number not in used)
        sources.append(RowSource(Row("loss", "loss"), "L", tops, trace.timesteps))
    return tuple(sources)


def loss_steps(trace: Trace) -> Booleans:
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


def step_key(node: int, recorded: Recorded, seen: dict[tuple[str, str], int]) -> StepKey:
    """Name a node so that its counterpart at another timestep has the same name."""
    where = recorded.scope(node), recorded.op(node)
    seen[where] = seen.get(where, -1) + 1
    return (*where, seen[where])


class _Reader:
    """Reads the rows out of the nodes of one typical timestep and of those outside all timesteps."""

    def __init__(self, trace: Trace, recorded: Recorded, tracks: Sequence[Track]) -> None:
        self.recorded, self.tracks = recorded, tracks
        sizes = {(one.batch, one.timesteps) for one in trace.recurrences}
        self.sizes = sizes | {(trace.batch, trace.timesteps)}
        self.timesteps = trace.timesteps
        self.found: list[RowSource] = []

    def read(self, typical: int) -> list[RowSource]:
        recorded = self.recorded
        relevant = sorted((*recorded.outside, *recorded.by_step.get(typical, [])))
        among = np.asarray(relevant)
        feeds: dict[int, tuple[int, ...]] = {}  # node -> the rows that its value comes from
        seen: dict[tuple[str, str], int] = {}
        for node in relevant:
            inputs = recorded.inputs(node)
            near = inputs[np.isin(inputs, among)].tolist() if len(inputs) > 8 else inputs.tolist()
            rows = tuple(dict.fromkeys(row for source in near for row in feeds.get(source, ())))
            inside = recorded.graph.timestep[node] >= 0
            track = next((one for one in self.tracks if one.owns(recorded.scope(node))), None) if inside else None
            if track is not None:
                feeds[node] = (self._of_track(track, rows),)
            elif recorded.is_given(node):
                continue
            elif recorded.role(node) in {"move", "cut"} or not (inside or self._is_sequence(node)):
                feeds[node] = rows
            else:
                feeds[node] = (len(self.found),)
                self.found.append(self._of_op(node, rows, step_key(node, recorded, seen) if inside else None))
        return _connected(self.found)

    def _of_track(self, track: Track, inputs: tuple[int, ...]) -> int:
        number = next((number for number, one in enumerate(self.found) if one.track is track), len(self.found))
        if number == len(self.found):
            self.found.append(_track_row(track, inputs))
        else:
            known = self.found[number]
            more = dict.fromkeys((*known.inputs, *(row for row in inputs if row != number)))
            self.found[number] = replace(known, inputs=tuple(more))
        return number

    def _is_sequence(self, node: int) -> bool:
        shape = self.recorded.shape(node)
        # (N, T) alone may be anything, such as features of size T; only a loss is known to be one number a step.
        return shape[:2] in self.sizes and (len(shape) > 2 or self.recorded.role(node) == "loss")

    def _of_op(self, node: int, inputs: tuple[int, ...], key: StepKey | None) -> RowSource:
        recorded = self.recorded
        role, label = recorded.role(node), recorded.label(node)
        name = recorded.name(node) or recorded.scope(node) or label
        timesteps = self.timesteps if key else recorded.shape(node)[1]
        row = Row("loss", "loss") if role == "loss" else Row(name, "input" if role == "input" else "op")
        text = {"loss": "L", "input": name}.get(row.kind, label)
        return RowSource(row, text, inputs, timesteps, (node,), key)


def _track_row(track: Track, inputs: tuple[int, ...]) -> RowSource:
    row = Row(track.name, "track", track.recurrence.layer, track.recurrence.direction)
    return RowSource(row, track.cell.title, inputs, track.timesteps, track=track)


def _connected(sources: list[RowSource]) -> list[RowSource]:
    """Drop rows that neither feed a recurrent layer nor come from one, such as a mask given as an input."""
    wanted = {number for number, source in enumerate(sources) if source.track or source.row.kind == "loss"}
    if not wanted:  # one layer on its own, such as an embedding
        return sources
    for number in range(len(sources) - 1, -1, -1):
        if number in wanted:
            wanted.update(sources[number].inputs)
    for number, source in enumerate(sources):
        if wanted.intersection(source.inputs):
            wanted.add(number)
    kept = {number: position for position, number in enumerate(sorted(wanted))}
    return [
        replace(sources[number], inputs=tuple(kept[row] for row in sources[number].inputs if row in kept))
        for number in kept
    ]


def _from_states(trace: Trace, tracks: Sequence[Track]) -> list[RowSource]:
    """Stack the layers as every recurrent stack does, where no recorded graph says how."""
    name = trace.inputs[0].name if trace.inputs else "x"
    sources = [RowSource(Row(name, "input"), name, (), trace.timesteps)]
    below: tuple[int, ...] = (0,)
    for layer in sorted({track.recurrence.layer for track in tracks}):
        here = [track for track in tracks if track.recurrence.layer == layer]
        first = len(sources)
        sources.extend(_track_row(track, below) for track in here)
        below = tuple(range(first, len(sources)))
        if len(here) > 1:
            sources.append(RowSource(Row("concat", "op"), "concat", below, trace.timesteps))
            below = (len(sources) - 1,)
    return sources
