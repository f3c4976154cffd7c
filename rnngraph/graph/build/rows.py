"""The rows of the picture and which row feeds which, from the recorded graph.

A whole-sequence node `(N, T, ...)` becomes a row with one box a timestep, so that neither a projection computed
at once nor the loss is a hub. Nodes that only move data about are passed through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnngraph.graph.build.loss_circles import loss_steps
from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.build.tracks import Track
from rnngraph.graph.model import Row
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
    starts: tuple[int, ...] = ()  # rows that its initial states come from, such as an encoder


def find_rows(trace: Trace, recorded: Recorded, tracks: Sequence[Track], typical: int) -> tuple[RowSource, ...]:
    """Return the rows from the bottom up; `typical` is a shown timestep to read the structure from."""
    sources = _Reader(trace, recorded, tracks).read(typical) if len(recorded.graph.op) else []
    if len([source for source in sources if source.track]) < len(tracks):
        sources = _from_states(trace, tracks)
    sources = _connected(sources)
    return tuple(sources if any(source.row.kind == "loss" for source in sources) else _with_loss(trace, sources))


def _with_loss(trace: Trace, sources: list[RowSource]) -> list[RowSource]:
    """Put a loss on top that was recorded as no row of its own; it comes from all that nothing else takes."""
    if not sources or not loss_steps(trace).any():
        return sources
    used = {row for source in sources for row in (*source.inputs, *source.starts)}
    tops = tuple(number for number in range(len(sources)) if number not in used)
    return [*sources, RowSource(Row("loss", "loss"), "L", tops, trace.timesteps)]


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
        self.feeds: dict[int, tuple[int, ...]] = {}  # node -> the rows that its value comes from

    def read(self, typical: int) -> list[RowSource]:
        recorded, feeds = self.recorded, self.feeds
        relevant = sorted((*recorded.outside, *recorded.by_step.get(typical, [])))
        among = np.asarray(relevant)
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
        return [replace(one, starts=self._starts(one.track)) if one.track else one for one in self.found]

    def _starts(self, track: Track) -> tuple[int, ...]:
        first = [int(state.nodes[track.timesteps - 1 if track.reverse else 0]) for state in track.states.values()]
        taken = [int(node) for one in first if one >= 0 for node in self.recorded.inputs(one)]
        return tuple(dict.fromkeys(row for node in taken for row in self.feeds.get(node, ())))

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
            wanted.update((*sources[number].inputs, *sources[number].starts))
    for number, source in enumerate(sources):
        if wanted.intersection(source.inputs):
            wanted.add(number)
    kept = {number: position for position, number in enumerate(sorted(wanted))}

    def renumbered(rows: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(kept[row] for row in rows if row in kept)

    return [
        replace(source, inputs=renumbered(source.inputs), starts=renumbered(source.starts))
        for number, source in enumerate(sources)
        if number in kept
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
