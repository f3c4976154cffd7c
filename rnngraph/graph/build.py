"""From a trace to a `Graph`: rows, columns, vertices, edges and bands, with no position and no colour.

Only what is shown is visited, so that a folded picture of 100,000 steps costs what one of 12 steps costs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rnngraph.errors import InputError
from rnngraph.graph.bands import column_index, gradient_bands, is_observed, overall, weight_bands
from rnngraph.graph.connect import Cell, Cells, connect
from rnngraph.graph.fold import loop_columns, unrolled_columns
from rnngraph.graph.model import Column, Graph, Vertex
from rnngraph.graph.recorded import Recorded
from rnngraph.graph.rows import Lane, find_lanes, loss_steps, step_key
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.tracks import Track, find_tracks, step_parts
from rnngraph.graph.vertices import fold_vertex, initial_vertex, lane_vertex, part_vertex
from rnngraph.trace.model import Trace

DETAILS = ("layer", "step", "op")
VIEWS = ("unrolled", "rolled")


def build(
    trace: Trace,
    steps: Steps = None,
    *,
    detail: str = "step",
    view: str = "unrolled",
    title: str | None = None,
) -> Graph:
    """Return the graph of the shown steps.

    Raises:
        InputError: the trace has no timesteps or no states, or an option is not one of its choices.
    """
    _check(trace, detail, view)
    rolled = view == "rolled" or detail == "layer"
    ranges = parse_steps("all" if steps is None and rolled else steps, trace.timesteps)
    columns = loop_columns(trace, ranges) if rolled else unrolled_columns(trace, ranges)
    return build_columns(trace, columns, detail=detail, title=title)


def build_columns(
    trace: Trace,
    columns: tuple[Column, ...],
    *,
    detail: str = "step",
    title: str | None = None,
    typical: int | None = None,
) -> Graph:
    """Return the graph of given columns, in any order; rows are read from the timestep `typical`."""
    typical = _typical(columns) if typical is None else typical
    shown = {column.first for column in columns if column.kind == "step"} | {typical}
    recorded = Recorded(trace.graph, np.asarray(sorted(shown), dtype=np.int64))
    lanes = find_lanes(trace, recorded, find_tracks(trace, recorded), typical)
    cells = _cells(trace, recorded, lanes, columns, detail, typical)
    vertices, edges = connect(cells, lanes, columns)
    return Graph(
        title=title or trace.model or "recurrent network",
        subtitle=_subtitle(trace),
        timesteps=trace.timesteps,
        batch=trace.batch,
        columns=columns,
        rows=tuple(lane.row for lane in lanes),
        vertices=_mark(trace, vertices, columns),
        edges=edges,
        bands=(*gradient_bands(trace.states, columns), *weight_bands(trace.parameters, columns)),
        carried=overall([one for state in trace.states for one in (state.carried, state.initial)]),
        gradients=overall([state.grad for state in trace.states]),
        contributions=overall([parameter.steps for parameter in trace.parameters]),
    )


def _check(trace: Trace, detail: str, view: str) -> None:
    if detail not in DETAILS:
        raise InputError(f"detail {detail!r} is unknown; choose {', '.join(DETAILS)}.")
    if view not in VIEWS:
        raise InputError(f"view {view!r} is unknown; choose {', '.join(VIEWS)}.")
    if trace.timesteps < 1:
        raise InputError(
            f"the trace of {trace.model or 'this model'!r} has no timesteps, so there is nothing to unroll; "
            "record a loss that went through a recurrent layer."
        )


def _typical(columns: tuple[Column, ...]) -> int:
    """Return a timestep from the middle of what is shown: the first and last may lack some operations."""
    shown = [column for column in columns if column.kind in {"step", "loop"}]
    middle = shown[len(shown) // 2]
    return (middle.first + middle.last + 1) // 2 if middle.kind == "loop" else middle.first


def _cells(
    trace: Trace, recorded: Recorded, lanes: tuple[Lane, ...], columns: tuple[Column, ...], detail: str, typical: int
) -> Cells:
    bears = loss_steps(trace)
    cells: Cells = {}
    for number, column in enumerate(columns):
        if column.kind == "fold":
            cells[-1, number] = (Cell(fold_vertex(trace, column, number)),)
            continue
        step = typical if column.kind == "loop" else column.first
        found = _step_nodes(recorded, lanes, step)
        for row, lane in enumerate(lanes):
            if column.kind == "initial":
                if lane.track is not None and lane.track.reverse == (number > 0):
                    cells[row, number] = _initial(lane.track, row, number, detail)
            elif lane.track is not None:
                parts = step_parts(lane.track, step, detail, recorded)
                cells[row, number] = tuple(
                    Cell(
                        part_vertex(trace, lane.track, part, row=row, number=number, column=column),
                        part.key,
                        part.inputs,
                    )
                    for part in parts
                )
            elif lane.row.kind != "loss" or bears[column_index(column)].any():
                nodes = (found[lane.key],) if lane.key in found else lane.nodes
                vertex = lane_vertex(trace, lane, nodes, row=row, number=number, column=column)
                cells[row, number] = (Cell(vertex),)
    return cells


def _initial(track: Track, row: int, number: int, detail: str) -> tuple[Cell, ...]:
    return tuple(
        Cell(initial_vertex(state, row, number), kind)
        for kind, state in track.states.items()
        if is_observed(state.initial) and (detail != "layer" or kind == track.main)
    )


def _step_nodes(recorded: Recorded, lanes: tuple[Lane, ...], step: int) -> dict[object, int]:
    if not any(lane.key for lane in lanes):
        return {}
    seen: dict[tuple[str, str], int] = {}
    return {step_key(node, recorded, seen): node for node in recorded.by_step.get(step, ())}


def _subtitle(trace: Trace) -> str:
    count = "1 timestep" if trace.timesteps == 1 else f"{trace.timesteps} timesteps"
    parts = [f"batch {trace.batch}", count, trace.dtype]
    if not math.isnan(trace.loss):
        parts.append(f"loss {trace.loss:.4g}")
    first = trace.graph.first_nonfinite().items()
    parts.append(", ".join(f"first non-finite value {way}: {trace.graph.describe(node)}" for way, node in first))
    return " · ".join(part for part in parts if part)


def _mark(trace: Trace, vertices: tuple[Vertex, ...], columns: tuple[Column, ...]) -> tuple[Vertex, ...]:
    """Outline the vertices that are, or hide, the first non-finite node."""
    first = set(trace.graph.first_nonfinite().values())
    if not first:
        return vertices
    steps = [int(trace.graph.timestep[node]) for node in first]

    def is_first(vertex: Vertex) -> bool:
        if vertex.kind == "fold":
            ranges = columns[vertex.column].ranges
            return any(start <= step < stop for step in steps for start, stop in ranges)
        return not first.isdisjoint(vertex.nodes)

    return tuple(replace(vertex, first_nonfinite=True) if is_first(vertex) else vertex for vertex in vertices)
