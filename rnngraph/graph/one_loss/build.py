"""From a trace and one loss to a `Graph`: rows of states with what is left, losses, inputs, folds, and the way back.

Only what is shown becomes a box; linear maps, scores, gates and weights are left to the view of all losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from rnngraph.diagnosis.sentences import part_text, percent, share_text
from rnngraph.graph.build.broken import broken_steps, broken_text
from rnngraph.graph.model import Column, Graph, Row, Vertex
from rnngraph.graph.one_loss.fold import folds_between
from rnngraph.graph.one_loss.view import Seen, SeenRow
from rnngraph.graph.one_loss.ways import Ways, begins, holds, is_here, level
from rnngraph.graph.sizes import is_wide
from rnngraph.graph.summary import summarise, summarise_plain
from rnngraph.trace.model import Trace

_BROKEN = "NaN or infinity first comes up at this step"


def build(trace: Trace, seen: Seen, shown: set[int], title: str) -> Graph:
    """Return the graph of the positions that are shown, with the initial states where there is room for them."""
    sides = {row.way for row in seen.rows if is_wide(seen.width) and begins(seen, row)}
    left, right = ([Column("initial", ())] if way in sides else [] for way in ("left", "right"))
    columns, broken = (*left, *_columns(trace, seen, shown), *right), broken_steps(trace)
    vertices = {
        vertex.id: vertex
        for place, column in enumerate(columns)
        if column.ranges
        for vertex in _column(trace, seen, column, place, broken)
    }
    ways = Ways(seen, columns, vertices)
    for number, row in enumerate(seen.rows):
        ways.along(number, row)
    ways.across()
    rows = [Row(row.name, "track", row.recurrence.layer, row.recurrence.direction) for row in reversed(seen.rows)]
    return Graph(
        title, seen.small, trace.timesteps, trace.batch, columns, (Row("x", "input"), *rows, Row("loss", "loss")),
        tuple(vertices.values()), tuple(ways.edges), (), seen=seen,
    )  # fmt: skip


def _columns(trace: Trace, seen: Seen, shown: set[int]) -> Iterator[Column]:
    folds = folds_between(shown, [segment.start for segment in seen.segments], seen.segments[-1].stop)
    for start, stop in sorted([*((at, at + 1) for at in shown), *folds]):
        number, segment = next((number, one) for number, one in enumerate(seen.segments) if start < one.stop)
        ranges = ((start - segment.start, stop - segment.start),)
        if stop - start > 1:
            yield Column("fold", ranges, segment=number)
            continue
        t = start - segment.start
        column = Column("step", ranges, segment=number)
        valid = max((int(row.recurrence.valid[:, t].sum()) for row in seen.rows if holds(seen, row, column)), default=0)
        # The words belong to the first recurrence of the trace, as its timesteps do.
        label = trace.labels[t] if len(seen.segments) == 1 else None
        yield Column("step", ranges, label, valid, number)


def _column(trace: Trace, seen: Seen, column: Column, place: int, broken: dict[str, set[int]]) -> Iterator[Vertex]:
    if column.kind == "fold":
        own = {row.recurrence.name for row in seen.rows if row.segment is seen.segments[column.segment]}
        hidden = broken_text(t for name in own for t in broken.get(name, ()) if column.first <= t <= column.last)
        label = "\n".join(text for text in (f"{column.count} steps", hidden) if text)
        yield Vertex(f"n{place}", "fold", label, -1, place, first_nonfinite=bool(hidden))
        return
    yield Vertex(f"n{place}_0", "input", "x", 0, place)
    for number, row in reversed(list(enumerate(seen.rows))):
        if holds(seen, row, column):
            state = _state(trace, row, column.first, own=level(seen, number), place=place)
            here = column.first in broken.get(row.recurrence.name, ())
            yield replace(state, first_nonfinite=True, note=f"{state.note}; {_BROKEN}") if here else state
    if seen.bears[seen.segments[column.segment].start + column.first]:
        here, top = is_here(seen, column), level(seen, -1)
        note = "the loss that is looked from" if here else "another loss, not part of this view"
        yield Vertex(f"n{place}_{top}", "loss", "L" if here else "", top, place, note=note, share=0.0 if here else None)


def _state(trace: Trace, row: SeenRow, t: int, *, own: int, place: int) -> Vertex:
    left, known = float(row.left[t]), bool(row.reached[t])
    state = next(state for state in trace.states if state.name == row.states[0])
    node = int(state.nodes[t])
    return Vertex(
        f"n{place}_{own}", "state", share_text(left) if known else "", own, place,
        row.kind, nodes=(node,) if node >= 0 else (), state=state.name, grad=summarise(state.grad, t),
        saturated=summarise_plain(row.saturated, t), note=_note(row, t),
        padding=not row.recurrence.valid[:, t].any(), share=left if known and not math.isnan(left) else None,
    )  # fmt: skip


def _note(row: SeenRow, t: int) -> str:
    """Say of a box all that is known."""
    where = f"{row.name} at t={t}"
    if not row.recurrence.valid[:, t].any():
        return f"{where}: padding, no sample has data here"
    if not row.reached[t]:
        return f"{where}: no credit of this loss gets here"
    left = float(row.left[t])
    if math.isnan(left):
        return f"{where}, lag {row.lags[t]}: not measured"
    text = f"{where}, lag {row.lags[t]}: {percent(left)} of this loss's gradient is left"
    if row.saturated[t] > 0:
        text += f"; {part_text(row.saturated[t])} of the units are saturated"
    if row.walk is not None and row.walk.cut and t == row.walk.steps[-1]:
        return f"{text}; the recurrence is cut here, and nothing goes further back"
    if left == -math.inf:
        return f"{text}: it is exactly zero"
    return text
