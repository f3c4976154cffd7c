"""Make the vertices of one column: what each says, which nodes it stands for and what is measured there."""

from __future__ import annotations

import numpy as np

from rnngraph.graph.bands import column_index, column_measure, walked
from rnngraph.graph.cells import Part
from rnngraph.graph.geometry import shorten_name
from rnngraph.graph.measure import STATUS_TEXT, Measure, measure, measure_plain, short
from rnngraph.graph.model import Column, Vertex
from rnngraph.graph.rows import Lane
from rnngraph.graph.tracks import Track
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import GateTrace, StateTrace, Trace

SATURATED, INACTIVE = 0.5, 0.8  # the shares of units from which a step is marked
_LAYERS = {"tanh": "tanh RNN", "relu": "ReLU RNN", "lstm": "LSTM", "gru": "GRU"}


def part_vertex(trace: Trace, track: Track, part: Part, *, row: int, number: int, column: Column) -> Vertex:
    """Make the box of one part of a recurrent step, or of the whole layer at detail "layer"."""
    index = column_index(column)
    identity = f"n{number}_{row}_{_safe(part.key)}"
    level, rank, of = part.place
    place = level, of - 1 - rank if track.reverse else rank, of
    if part.kind == "gate":
        gates = _gates(trace, track, part)
        share = np.max([gate.saturated[index] for gate in gates], axis=0) if gates else None
        return Vertex(
            identity, "gate", part.label, row, number, part.nodes, "", place,
            grad=node_measure(trace, part.nodes) if column.kind == "step" else None,
            saturated=None if share is None else measure_plain(share),
            mark="" if share is None else _saturation_mark(measure_plain(share), track.cell),
            note=", ".join(_gate_note(gate, index) for gate in gates),
        )  # fmt: skip
    state = track.states.get(part.key)
    if state is None:
        grad = node_measure(trace, part.nodes) if column.kind == "step" else None
        return Vertex(identity, "part", part.label, row, number, part.nodes, "", place, grad)
    label = part.label
    if part.kind == "layer":
        label = f"{_LAYERS.get(track.cell, track.cell)} layer × {column.count} steps"
        others = [one for kind, one in track.states.items() if kind != part.key]
        label = "\n".join([label, *(_carries(one, column) for one in others)])
    saturated = measure_plain(state.saturated, index)
    return Vertex(
        identity, part.kind, label, row, number, part.nodes, state.name, place,
        mark=_saturation_mark(saturated, track.cell),
        grad=column_measure(state.grad, column),
        saturated=saturated,
        activation=measure_plain(state.activation, index),
        note=_state_note(state, column),
    )  # fmt: skip


def _saturation_mark(share: Measure, cell: str) -> str:
    """Name a share of saturated units that is worth a mark; a ReLU is rightly inactive about half of the time."""
    limit, word = (INACTIVE, "inactive") if cell == "relu" else (SATURATED, "saturated")
    return f"{word} {share.high:.0%}" if share.high >= limit else ""


def lane_vertex(trace: Trace, lane: Lane, nodes: tuple[int, ...], *, row: int, number: int, column: Column) -> Vertex:
    """Make the box of a whole-sequence op at one step, or the loss there."""
    label, kind, grad = lane.label, lane.row.kind, None
    if kind == "loss":
        label = _loss_label(trace, column)
    if kind == "input":
        entering = next((one for one in trace.inputs if one.name == lane.row.name), None)
        grad = column_measure(entering.steps, column) if entering is not None else None
    name = trace.graph.names.get(str(nodes[0]), "") if nodes else ""
    where = ", ".join(part for part in (lane.row.name, name) if part)
    return Vertex(
        f"n{number}_{row}",
        kind if kind != "track" else "op",
        label,
        row,
        number,
        nodes,
        grad=grad,
        note=where,
    )


def fold_vertex(trace: Trace, column: Column, number: int) -> Vertex:
    """Make the one box that stands for all the steps of a fold, with the range of every state's gradient."""
    lines = [f"{column.count} steps", f"t={column.first} … {column.last}"]
    for state in trace.states:
        name = shorten_name(state.name, 120, 9)
        lines.append(f"{name}  {measure(state.grad, column_index(column)).text}")
        cuts = int(state.cut[column_index(column)].sum())
        if cuts:
            lines.append(f"{name}  cut {cuts}×")
    return Vertex(f"n{number}", "fold", "\n".join(lines), -1, number)


def initial_vertex(state: StateTrace, row: int, number: int) -> Vertex:
    """Make the box of a state before the first step."""
    return Vertex(
        f"n{number}_{row}_{_safe(state.kind)}", "initial", f"{state.kind}0", row, number, (), state.name,
        grad=measure(state.initial), note=f"{state.name}, initial",
    )  # fmt: skip


def node_measure(trace: Trace, nodes: tuple[int, ...]) -> Measure | None:
    """Return the gradient of the last of several nodes, None where there is none."""
    if not nodes or nodes[-1] >= len(trace.graph.grad.value):
        return None
    return measure(trace.graph.grad, nodes[-1])


def _gates(trace: Trace, track: Track, part: Part) -> list[GateTrace]:
    own = [gate for gate in trace.gates if gate.layer == track.layer and gate.direction == track.direction]
    wanted = part.label.split()
    return [gate for gate in own if gate.gate in wanted]


def _gate_note(gate: GateTrace, index: object) -> str:
    mean = measure_plain(gate.mean, index).text
    return f"{gate.gate} mean {mean}, saturated {measure_plain(gate.saturated, index).text}"


def _carries(state: StateTrace, column: Column) -> str:
    """Say what a state carries back that has no arrow of its own, such as an LSTM's c at detail "layer"."""
    found = column_measure(state.carried, walked(state, column))
    return f"{state.kind} carries {found.text if found else STATUS_TEXT[Status.UNOBSERVED]}"


def _state_note(state: StateTrace, column: Column) -> str:
    def text(magnitudes: Magnitudes) -> str:
        found = column_measure(magnitudes, column)
        return found.text if found else ""

    return f"‖∂L/∂{state.kind}‖ {text(state.grad)}, immediate {text(state.immediate)}, carried {text(state.carried)}"


def _loss_label(trace: Trace, column: Column) -> str:
    part = trace.loss_steps[column_index(column)]
    name = f"L{column.first}" if column.kind == "step" else f"L × {column.count}"
    if np.isnan(part).all():
        return name
    # The sum over a loop's steps is their part of the loss; of one step it is that step's.
    return (
        f"{name}\n{short(float(np.nansum(part)))}"
        if np.isfinite(part[~np.isnan(part)]).all()
        else f"{name}\nnot finite"
    )


def _safe(key: str) -> str:
    return "".join(
        character if character.isascii() and character.isalnum() else f"x{ord(character):x}" for character in key
    )
