"""The recurrences of a run as the graph of a trace: a node a part and step, joined as the steps were.

In: a recording and the gradients of its states. Out: a `GraphTrace`. Where one recurrence begins from the other's
end, an edge says so, so that a picture can put one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.sources.torch.answers.tracks import Track
from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest
from rnngraph.sources.torch.finding.recurrence import Recurrence
from rnngraph.trace.cell import INPUT, PREVIOUS, PartTrace
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Integers, Magnitudes

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def parts_of(track: Track) -> tuple[PartTrace, ...]:
    """Give the boxes of a step: those of a cell that is known, else its states."""
    if track.cell.parts:
        return track.cell.parts
    kinds = track.cell.kinds
    before = tuple(PREVIOUS + kind for kind in kinds)
    return tuple(PartTrace(kind, f"{track.cell.name} {kind}", "state", (INPUT, *before), "") for kind in kinds)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Ids of nodes: an input a track first, then the parts of its steps in order; the loss is last."""

    tracks: Sequence[Track]
    firsts: list[int]
    size: int

    @staticmethod
    def of(tracks: Sequence[Track]) -> Numbers:
        """Number the nodes."""
        firsts, at = [], 0
        for track in tracks:
            firsts.append(at)
            at += 1 + len(parts_of(track)) * track.recurrence.steps
        return Numbers(tracks, firsts, at + 1)

    def part(self, number: int, key: str) -> Integers:
        """Give the ids of one part of every step, (T,)."""
        parts = parts_of(self.tracks[number])
        place = [part.key for part in parts].index(key)
        return np.arange(self.tracks[number].recurrence.steps) * len(parts) + self.firsts[number] + 1 + place

    def of_track(self, number: int) -> dict[str, Integers]:
        """Give the ids of a track's states by kind."""
        return {kind: self.part(number, kind) for kind in self.tracks[number].cell.kinds}


@dataclass(slots=True)
class _Columns:
    ops: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    scopes: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[int, int, int]] = field(default_factory=list)  # op, scope, timestep
    inputs: list[list[int]] = field(default_factory=list)

    def add(self, op: tuple[str, str, str, str], scope: str, t: int, inputs: list[int]) -> None:
        number = self.ops.setdefault(op, len(self.ops))
        self.rows.append((number, self.scopes.setdefault(scope, len(self.scopes)), t))
        self.inputs.append(inputs)


def graph_of(recording: TorchRecording, states: dict[str, Magnitudes]) -> GraphTrace:
    """Build the columns."""
    columns, numbers = _Columns(), recording.numbers
    grad = Magnitudes.unobserved((numbers.size,))
    begins = begins_from(recording)
    for number, track in enumerate(recording.tracks):
        _add_track(columns, recording, number, begins.get(track.recurrence))
        for kind, ids in numbers.of_track(number).items():
            known = states[recording.facts[number].states[kind]]
            grad.value[ids], grad.status[ids] = known.value[: len(ids)], known.status[: len(ids)]
    ends = [
        int(numbers.of_track(k)["h"][t]) for k in _top(recording) for t in range(recording.tracks[k].recurrence.steps)
    ]
    columns.add(("loss", "loss", "loss", ""), "", -1, ends)
    op, scope, timestep = (np.array([row[k] for row in columns.rows], np.int64) for k in range(3))
    names = {str(numbers.firsts[k]): f"input of {track.recurrence.path}" for k, track in enumerate(recording.tracks)}
    ops, labels, roles, formulas = (tuple(one[k] for one in columns.ops) for k in range(4))
    return GraphTrace(
        ops=ops, labels=labels, roles=roles, formulas=formulas, scopes=tuple(columns.scopes), shapes=("()",),
        names=names,
        op=op, scope=scope, shape=np.zeros(len(op), np.int64), timestep=timestep,
        inputs=np.array([one for some in columns.inputs for one in some], np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(some) for some in columns.inputs])]).astype(np.int64),
        grad=grad, first_nonfinite_forward=_node(recording, recording.broken.value),
        first_nonfinite_backward=_node(recording, recording.broken.gradient),
    )  # fmt: skip


def _node(recording: TorchRecording, where: tuple[Any, int, str, int] | None) -> int:
    return -1 if where is None else int(recording.numbers.part(where[1], where[2])[where[3]])


def _top(recording: TorchRecording) -> list[int]:
    """Give the tracks that losses enter: the last layer of every clock."""
    top = {one.recurrence: one.layer for one in recording.tracks}
    return [k for k, one in enumerate(recording.tracks) if one.layer == top[one.recurrence]]


def _add_track(columns: _Columns, recording: TorchRecording, number: int, start: Recurrence | None) -> None:
    track, numbers = recording.tracks[number], recording.numbers
    parts, one = parts_of(track), track.recurrence
    scope = f"{one.path}.{track.layer}/{track.direction}"
    columns.add(("input", "input", "input", ""), "", -1, [])
    below = [
        numbers.of_track(k)["h"]
        for k, other in enumerate(recording.tracks)
        if other.recurrence is one and other.layer == track.layer - 1
    ]
    first, count = numbers.firsts[number] + 1, len(parts)
    keys = [part.key for part in parts]
    step = -1 if track.direction != "forward" else 1
    for t in range(one.steps):
        for part in parts:
            inputs = []
            for name in part.inputs:
                if name == INPUT:
                    inputs += [int(ids[t]) for ids in below] or [numbers.firsts[number]]
                elif name.startswith(PREVIOUS):
                    before, kind = t - step, name.removeprefix(PREVIOUS)
                    if 0 <= before < one.steps:
                        inputs.append(first + before * count + keys.index(kind))
                    elif start is not None:
                        inputs += _end_of(recording, start, kind)
                else:
                    inputs.append(first + t * count + keys.index(name))
            columns.add((f"{track.cell.name}.{part.key}", part.label, "compute", part.formula), scope, t, inputs)


def _end_of(recording: TorchRecording, one: Recurrence, kind: str) -> list[int]:
    return [
        int(
            recording.numbers.of_track(k)[kind if kind in track.cell.kinds else "h"][
                -1 if track.direction == "forward" else 0
            ]
        )
        for k, track in enumerate(recording.tracks)
        if track.recurrence is one
    ][-1:]


def begins_from(recording: TorchRecording) -> dict[Recurrence, Recurrence]:
    """Find which recurrence begins from the other's last states."""
    ends: dict[Any, Recurrence] = {}
    for one in recording.recurrences:
        for edge in _last_states(one):
            ends[edge[0]] = one
    found = {}
    for one in recording.recurrences:
        roots = _first_inputs(one)
        if not roots or not ends:
            continue
        seen = [node for node in at_and_below(roots, oldest(ends)) if node in ends]
        other = next((ends[node] for node in reversed(seen) if ends[node] is not one), None)
        if other is not None:
            found[one] = other
    return found


def _last_states(one: Recurrence) -> list[Edge]:
    if one.fused:
        return [edge for kind, edge in one.calls[-1].ports.items() if kind != "out"]
    return one.states[-1] if one.states else []


def _first_inputs(one: Recurrence) -> list[Any]:
    """Give the nodes that the first states come from."""
    if one.fused:
        return [edge[0] for edge in one.layers[0].initial_edges if edge is not None]
    return [edge[0] for edge in one.calls[0].given[1:]] if one.calls else []
