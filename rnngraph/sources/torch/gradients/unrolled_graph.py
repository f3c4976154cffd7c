"""The recurrences of a run as the graph of a trace: a node a part and step, joined as the steps were.

In: a recording and the gradients of its states. Out: a `GraphTrace`. Where one recurrence begins from the other's
end, an edge says so, so that a picture can put one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest
from rnngraph.sources.torch.gradients.tracks import Track
from rnngraph.sources.torch.recurrences.recurrence import Recurrence
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


def nodes_of(tracks: Sequence[Track]) -> list[dict[str, Integers]]:
    """Number the nodes: of every track an input, and then the parts of its steps, (T,) a part; the loss is last."""
    found, first = [], 1
    for track in tracks:
        keys, steps = [part.key for part in parts_of(track)], np.arange(track.recurrence.steps)
        found.append({key: first + k + len(keys) * steps for k, key in enumerate(keys)})
        first += 1 + len(keys) * len(steps)
    return found


def graph_of(recording: TorchRecording, states: dict[str, Magnitudes]) -> GraphTrace:
    """Build the columns."""
    begins = begins_from(recording)
    ops: dict[tuple[str, str, str, str], int] = {("input", "input", "input", ""): 0}
    scopes, inputs, rows = [""], list[list[int]](), list[tuple[int, int, int]]()  # a row: op, scope, timestep
    for number, track in enumerate(recording.tracks):
        parts = parts_of(track)
        here = [
            ops.setdefault((f"{track.cell.name}.{part.key}", part.label, "compute", part.formula), len(ops))
            for part in parts
        ]
        scopes.append(f"{track.recurrence.path}.{track.layer}/{track.direction}")
        rows += [(0, 0, -1), *((op, len(scopes) - 1, t) for t in range(track.recurrence.steps) for op in here)]
        inputs += [[], *_read(recording, number, parts, begins.get(track.recurrence))]
    rows.append((len(ops), 0, -1))
    ops["loss", "loss", "loss", ""] = len(ops)
    top = {one.recurrence: one.layer for one in recording.tracks}  # losses enter the last layer of each
    last = [k for k, one in enumerate(recording.tracks) if one.layer == top[one.recurrence]]
    inputs.append([node for k in last for node in recording.nodes[k]["h"].tolist()])
    grad = Magnitudes.unobserved((len(rows),))
    for facts in recording.facts:
        for kind, ids in facts.nodes.items():
            known = states[facts.states[kind]]
            grad.value[ids], grad.status[ids] = known.value[: len(ids)], known.status[: len(ids)]
    first = [-1 if at is None else int(recording.nodes[at[0]][at[1]][at[2]]) for at in recording.first_nonfinite()]
    op, scope, timestep = np.array(rows, np.int64).T
    names, labels, roles, formulas = (tuple(one[k] for one in ops) for k in range(4))
    return GraphTrace(
        ops=names, labels=labels, roles=roles, formulas=formulas, scopes=tuple(scopes), shapes=("()",),
        names={
            str(_input(recording, k)): f"input of {track.recurrence.path}" for k, track in enumerate(recording.tracks)
        },
        op=op, scope=scope, shape=np.zeros(len(op), np.int64), timestep=timestep,
        inputs=np.array([one for some in inputs for one in some], np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(some) for some in inputs])]).astype(np.int64),
        grad=grad, first_nonfinite_forward=first[0], first_nonfinite_backward=first[1],
    )  # fmt: skip


def _input(recording: TorchRecording, number: int) -> int:
    return int(next(iter(recording.nodes[number].values()))[0]) - 1


def _read(
    recording: TorchRecording, number: int, parts: Sequence[PartTrace], start: Recurrence | None
) -> Iterator[list[int]]:
    """Give the nodes that each part of each step reads; the first step may begin from another recurrence's end."""
    track, nodes = recording.tracks[number], recording.nodes[number]
    one = track.recurrence
    back = one.stride if track.direction == "forward" else -1
    lower = [k for k, o in enumerate(recording.tracks) if o.recurrence is one and o.layer == track.layer - 1]
    for t in range(time := one.steps):
        for part in parts:
            inputs: list[int] = []
            for name in part.inputs:
                if name == INPUT:
                    inputs += [int(recording.nodes[k]["h"][t]) for k in lower] or [_input(recording, number)]
                elif not name.startswith(PREVIOUS):
                    inputs.append(int(nodes[name][t]))
                elif 0 <= t - back < time:
                    inputs.append(int(nodes[name.removeprefix(PREVIOUS)][t - back]))
                elif start is not None:
                    inputs.append(_end_of(recording, start, name.removeprefix(PREVIOUS)))
            yield inputs


def _end_of(recording: TorchRecording, one: Recurrence, kind: str) -> int:
    number, track = [(k, some) for k, some in enumerate(recording.tracks) if some.recurrence is one][-1]
    ids = recording.nodes[number][kind if kind in track.cell.kinds else "h"]
    return int(ids[-1 if track.direction == "forward" else 0])


def begins_from(recording: TorchRecording) -> dict[Recurrence, Recurrence]:
    """Find which recurrence begins from the other's last states: of several, from those that were made last."""
    ends = {edge[0]: one for one in recording.recurrences for edge in _last_states(one)}
    found = {}
    for one in recording.recurrences:
        for node in at_and_below(_first_inputs(one), oldest(ends)):
            if node in ends:
                found[one] = ends[node]
    return found


def _last_states(one: Recurrence) -> list[Edge]:
    if one.fused:
        return [edge for kind, edge in one.calls[-1].ports.items() if kind != "out"]
    return one.states[one.order[-1]] if one.states else []


def _first_inputs(one: Recurrence) -> list[Any]:
    """Give the nodes that the first states come from."""
    if one.fused:
        return [edge[0] for edge in one.layers[0].initial_edges if edge is not None]
    return [edge[0] for edge in one.calls[one.order[0]].given[1:]] if one.calls else []
