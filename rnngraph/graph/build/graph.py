"""From a trace to a `Graph`: rows, columns, vertices, edges and bands, with no position and no colour.

Only what is shown is visited, so that a folded picture of 100,000 steps costs what one of 12 steps costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnngraph.graph.build.arrows import VerticesAt, connect
from rnngraph.graph.build.broken import broken_text
from rnngraph.graph.build.fold import loop_columns, unrolled_columns
from rnngraph.graph.build.loss_circles import loss_steps
from rnngraph.graph.build.parts import step_parts
from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.build.rows import RowSource, StepKey, find_rows, step_key
from rnngraph.graph.build.tracks import find_tracks
from rnngraph.graph.build.vertices import TrackColumn, fold_vertex, op_vertex
from rnngraph.graph.model import Band, Column, Graph, Vertex
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.summary import Summary, at_column, overall, summarise, summarise_plain
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace

DETAILS = ("layer", "step", "op")
VIEWS = ("unrolled", "rolled")


def build(
    trace: Trace, steps: Steps = None, *, detail: str = "step", view: str = "unrolled", title: str | None = None
) -> Graph:
    """Return the graph of the shown steps.

    Raises:
        InputError: steps outside the trace.
    """
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
    typical = _typical(trace, columns) if typical is None else typical
    shown = {column.first for column in columns if column.kind == "step"} | {typical}
    recorded = Recorded(trace.graph, np.asarray(sorted(shown), dtype=np.int64))
    rows = find_rows(trace, recorded, find_tracks(trace, recorded), typical)
    at = _fill(trace, recorded, rows, columns, detail, typical)
    vertices, edges = connect(at, rows, columns)
    return Graph(
        title=title or trace.model or "recurrent network",
        subtitle=_subtitle(trace, named=title is None),
        timesteps=trace.timesteps,
        batch=trace.batch,
        columns=columns,
        rows=tuple(source.row for source in rows),
        vertices=_mark(trace, vertices, columns),
        edges=edges,
        bands=tuple(_bands(trace, columns)),
        carried=overall([one for state in trace.states for one in (state.carried, state.initial)]),
        gradients=overall([state.grad for state in trace.states]),
        contributions=overall([parameter.steps for parameter in trace.parameters]),
        gains=summarise_plain(np.concatenate([np.empty(0), *(state.gain for state in trace.states)])),
        activations=summarise_plain(np.concatenate([np.empty(0), *(state.activation for state in trace.states)])),
        saturation=tuple(dict.fromkeys((cell.saturation, cell.marked_from) for cell in trace.cells)),
    )


def _typical(trace: Trace, columns: tuple[Column, ...]) -> int:
    """Return a timestep from the middle of what is shown: the first and last may lack some operations.

    All recurrences run there, where there is such a step.
    """
    shortest = min((one.timesteps for one in trace.recurrences), default=trace.timesteps)
    shown = [column for column in columns if column.kind in {"step", "loop"}]
    common = [column for column in shown if column.within(0, shortest).ranges] or shown
    middle = common[len(common) // 2]
    middle = middle.within(0, shortest) if middle.within(0, shortest).ranges else middle
    return (middle.first + middle.last + 1) // 2


def _fill(
    trace: Trace,
    recorded: Recorded,
    rows: tuple[RowSource, ...],
    columns: tuple[Column, ...],
    detail: str,
    typical: int,
) -> VerticesAt:
    bears = loss_steps(trace)
    at: VerticesAt = {}
    runs = [any(column.within(0, source.timesteps).ranges for column in columns) for source in rows]
    for number, column in enumerate(columns):
        if column.kind == "fold":
            at[-1, number] = (fold_vertex(trace, column, number),)
            continue
        step = typical if column.kind == "loop" else column.first
        found = _step_nodes(recorded, rows, step)
        for row, source in enumerate(rows):
            own = column.within(0, source.timesteps)
            if source.track is not None:
                crossing = TrackColumn(trace, source.track, row, number, own)
                if own.ranges:
                    at[row, number] = crossing.vertices(step_parts(source.track, step, detail, recorded))
                elif runs[row] and source.track.starts_in(column, first=number == 0):
                    at[row, number] = crossing.initial(detail)
            elif own.ranges and (source.row.kind != "loss" or bears[own.index].any()):
                nodes = source.nodes if source.key is None else found.get(source.key, ())
                if nodes or source.key is None:
                    at[row, number] = (op_vertex(trace, source, nodes, row=row, number=number, column=own),)
    return at


def _step_nodes(recorded: Recorded, rows: tuple[RowSource, ...], step: int) -> dict[StepKey, tuple[int, ...]]:
    if not any(source.key for source in rows):
        return {}
    seen: dict[tuple[str, str], int] = {}
    return {step_key(node, recorded, seen): (node,) for node in recorded.by_step.get(step, ())}


def _bands(trace: Trace, columns: tuple[Column, ...]) -> Iterator[Band]:
    """Give a line a state with its gradient, then one a parameter with its parts and the norm of their sum.

    A weight is one line here instead of a vertex that every step points to.
    """

    def by_column(magnitudes: Magnitudes, timesteps: int) -> tuple[Summary | None, ...]:
        return tuple(at_column(magnitudes, column.within(0, timesteps)) for column in columns)

    for state in trace.states:
        cells = by_column(state.grad, trace.recurrence_of(state).timesteps)
        yield Band(state.name, "gradient", f"‖∂L/∂{state.kind}‖", None, cells)
    for parameter in trace.parameters:
        shape = "×".join(str(size) for size in parameter.shape)
        cells = by_column(parameter.steps, trace.timesteps)
        yield Band(parameter.name, "weight", shape, summarise(parameter.grad), cells)


def sizes(trace: Trace) -> list[str]:
    """Say how large a trace is: the batch, or the batches of its recurrences, the timesteps, the kind of number."""
    batches = dict.fromkeys(str(one.batch) for one in trace.recurrences) or [str(trace.batch)]
    count = "1 timestep" if trace.timesteps == 1 else f"{trace.timesteps} timesteps"
    return [f"batch {' and '.join(batches)}", count, trace.dtype]


def _subtitle(trace: Trace, *, named: bool) -> str:
    """Say what is drawn; under a title that does not name the model, also that, and what the sum cannot show."""
    parts = sizes(trace) if named else [trace.model, *sizes(trace)]
    if not named and trace.lags and trace.lags[0].available > 1:
        parts.insert(0, f"sum of {trace.lags[0].available} losses, which says nothing of reach")
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
    steps = {int(trace.graph.timestep[node]) for node in first}

    def marked(vertex: Vertex) -> Vertex:
        if vertex.kind == "fold":
            hidden = {t for t in steps if any(start <= t < stop for start, stop in columns[vertex.column].ranges)}
            lines = [vertex.label, broken_text(hidden)]
            return replace(vertex, first_nonfinite=True, label="\n".join(lines)) if hidden else vertex
        return vertex if first.isdisjoint(vertex.nodes) else replace(vertex, first_nonfinite=True)

    return tuple(map(marked, vertices))
