"""Make the vertices of one column: what each says, which nodes it stands for and what is measured there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from rnngraph.diagnosis.sentences import part_text
from rnngraph.graph.build.parts import Parts
from rnngraph.graph.build.rows import RowSource
from rnngraph.graph.build.tracks import Track, is_observed, walked
from rnngraph.graph.layout.metrics import fit_end
from rnngraph.graph.model import Column, Vertex, VertexKind
from rnngraph.graph.summary import STATUS_TEXT, Summary, at_column, short, summarise, summarise_plain
from rnngraph.trace.cell import CellTrace, PartTrace
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import GateTrace, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class TrackColumn:
    """Where one track crosses one column: what the boxes of a recurrent step have in common."""

    trace: Trace
    track: Track
    row: int
    number: int  # of the column
    column: Column  # with the track's own timesteps only

    def vertices(self, parts: Parts) -> tuple[Vertex, ...]:
        """Make a box a part of the step, or one for the whole layer at detail "layer"."""
        return tuple(self._vertex(part, nodes) for part, nodes in parts)

    def _vertex(self, part: PartTrace, nodes: tuple[int, ...]) -> Vertex:
        level, rank, of = part.place
        state = self.track.states.get(part.key)
        kind = cast(VertexKind, "part" if part.role == "state" and state is None else part.role)
        one = Vertex(
            f"n{self.number}_{self.row}_{_safe(part.key)}", kind, part.label,
            self.row, self.number, part.key, part.inputs, nodes, formula=part.formula,
            place=(level, of - 1 - rank if self.track.reverse else rank, of), padding=self._is_padding(),
        )  # fmt: skip
        if part.role == "gate":
            return self._gate(one)
        return self._node(one) if state is None else self._state(one, state)

    def _is_padding(self) -> bool:
        column = self.column
        return column.kind == "step" and not self.track.recurrence.valid[:, column.first].any()

    def _node(self, one: Vertex) -> Vertex:
        return replace(one, grad=node_summary(self.trace, one.nodes) if self.column.kind == "step" else None)

    def _gate(self, one: Vertex) -> Vertex:
        own = [gate for gate in self.trace.gates if gate.recurrence == self.track.recurrence.name]
        gates = [gate for gate in own if gate.gate == one.key] or own
        index = self.column.index
        share = summarise_plain(np.max([gate.saturated[index] for gate in gates], axis=0)) if gates else None
        return replace(
            self._node(one), gates=tuple(gate.name for gate in gates), saturated=share,
            mark=saturation_mark(share, self.track.cell),
            note=", ".join(_gate_note(gate, self.column) for gate in gates),
        )  # fmt: skip

    def _state(self, one: Vertex, state: StateTrace) -> Vertex:
        column, label = self.column, one.label
        if one.kind == "layer":
            others = [other for other in self.track.states.values() if other is not state]
            lines = [f"{label} layer × {column.count} steps", *(self._carries(other) for other in others)]
            label = "\n".join(lines)
        saturated = summarise_plain(state.saturated, column.index)
        return replace(
            one, label=label, state=state.name, grad=at_column(state.grad, column), saturated=saturated,
            mark=saturation_mark(saturated, self.track.cell), note=_state_note(state, column),
            activation=summarise_plain(state.activation, column.index),
        )  # fmt: skip

    def _carries(self, state: StateTrace) -> str:
        """Say what a state carries back that has no arrow of its own, such as an LSTM's c at detail "layer"."""
        found = at_column(state.carried, walked(self.track, self.column))
        return f"{state.kind} carries {found.text if found else STATUS_TEXT[Status.UNOBSERVED]}"

    def initial(self, detail: str) -> tuple[Vertex, ...]:
        """Make the boxes of the states before the first step, as far as they were observed."""
        return tuple(
            Vertex(
                f"n{self.number}_{self.row}_{_safe(kind)}", "initial", f"{kind}0", self.row, self.number, kind,
                state=state.name, place=(level, 0, 1), grad=summarise(state.initial), note=f"{state.name}, initial",
            )
            for level, (kind, state) in enumerate(self.track.states.items())
            if is_observed(state) and (detail != "layer" or kind == self.track.main)
        )  # fmt: skip


def saturation_mark(share: Summary | None, cell: CellTrace) -> str:
    """Name a share of saturated units that is worth a mark."""
    return f"{cell.saturation} {part_text(share.high)}" if share is not None and share.high >= cell.marked_from else ""


def op_vertex(
    trace: Trace, source: RowSource, nodes: tuple[int, ...], *, row: int, number: int, column: Column
) -> Vertex:
    """Make the box of a whole-sequence op at one step, or the loss there."""
    name, kind, graph = source.row.name, source.row.kind, trace.graph
    entering = next((one for one in trace.inputs if kind == "input" and one.name == name), None)
    own = graph.names.get(str(nodes[0]), "") if nodes else ""
    return Vertex(
        f"n{number}_{row}", kind if kind != "track" else "op",
        _loss_label(trace, column) if kind == "loss" else source.label, row, number, nodes=nodes,
        grad=at_column(entering.steps, column) if entering is not None else None,
        note=", ".join(part for part in (name, own) if part), padding=column.kind == "step" and column.valid == 0,
    )  # fmt: skip


def fold_vertex(trace: Trace, column: Column, number: int) -> Vertex:
    """Make the one box that stands for all the steps of a fold, with the range of every state's gradient."""
    lines = [f"{column.count} steps", f"t={column.first} … {column.last}"]
    for state in trace.states:
        own = column.within(0, trace.recurrence_of(state).timesteps)
        if own.ranges:
            name = fit_end(state.name, 120, 9)
            lines.append(f"{name}  {summarise(state.grad, own.index).text}")
            cuts = int(state.cut[own.index].sum())
            lines += [f"{name}  cut {cuts}×"] if cuts else []
    return Vertex(f"n{number}", "fold", "\n".join(lines), -1, number)


def node_summary(trace: Trace, nodes: tuple[int, ...]) -> Summary | None:
    """Return the gradient of the last of several nodes, None where there is none."""
    return summarise(trace.graph.grad, nodes[-1]) if nodes and nodes[-1] < len(trace.graph.grad.value) else None


def _gate_note(gate: GateTrace, column: Column) -> str:
    mean, saturated = (summarise_plain(values, column.index).text for values in (gate.mean, gate.saturated))
    return f"{gate.gate} mean {mean}, saturated {saturated}"


def _state_note(state: StateTrace, column: Column) -> str:
    def text(magnitudes: Magnitudes) -> str:
        found = at_column(magnitudes, column)
        return found.text if found else ""

    return f"‖∂L/∂{state.kind}‖ {text(state.grad)}, immediate {text(state.immediate)}, carried {text(state.carried)}"


def _loss_label(trace: Trace, column: Column) -> str:
    part = trace.loss_steps[column.index]
    name = f"L{column.first}" if column.kind == "step" else f"L × {column.count}"
    known = part[~np.isnan(part)]
    if not known.size:
        return name
    # The sum over a loop's steps is their part of the loss; of one step it is that step's.
    return f"{name}\n{short(float(known.sum())) if np.isfinite(known).all() else 'not finite'}"


def _safe(key: str) -> str:
    return "".join(one if one.isascii() and one.isalnum() else f"x{ord(one):x}" for one in key)
