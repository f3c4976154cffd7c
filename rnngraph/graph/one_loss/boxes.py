"""The boxes: states with what is left in them, losses, inputs or words, initial states, and folds with a bar a step.

In: a layout. Out: shapes, in the order in which they lie upon each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from rnngraph.diagnosis.sentences import part_text, share_text
from rnngraph.graph.layout.geometry import Box, Span, one_line
from rnngraph.graph.layout.metrics import largest, width_of
from rnngraph.graph.model import Column, Vertex
from rnngraph.graph.one_loss.bars import Axis, bars
from rnngraph.graph.one_loss.layout import RANGE, Layout, inside
from rnngraph.graph.paper import SMALL, SMALLEST
from rnngraph.graph.sheet import Form, Role, Shape, rectangle, words
from rnngraph.graph.style.boxes import Paint, vertex_shape
from rnngraph.graph.style.left import tone

BAR = 46.0  # the height of 100 % in a fold
METER = 4.0
METER_FROM = 0.25  # the share of saturated units from which it is drawn


def folds(layout: Layout, axis: Axis) -> Iterator[Shape]:
    """Draw every fold: its paper, its bars, the line at 1 %, how many steps it holds, and what is left in them."""
    for vertex in layout.graph.vertices:
        if vertex.kind == "fold":
            yield from _fold(vertex, layout, axis)


def _fold(vertex: Vertex, layout: Layout, axis: Axis) -> Iterator[Shape]:
    span, column = layout.columns[vertex.column], layout.graph.columns[vertex.column]
    top = layout.top
    ranges = list(_ranges(layout, column))
    count, *broken = vertex.label.split("\n")
    yield rectangle(
        vertex.id, "vertex", span.start, top, span.size, layout.bottom - top, form="box", fill="fold",
        stroke="red" if broken else "rule", thickness=2.0 if broken else 1.0, line="dotted",
        subject=vertex.id, column=vertex.column,
        hint=one_line("; ".join([f"{count}, {column.names[0]}", *broken, *(text for _, text, _ in ranges)])),
    )  # fmt: skip
    heads = f"{count} folded", count, f"{column.count}×"
    yield from _between(f"{vertex.id}n", "header", heads, span, top + 12, layout)
    for text in broken:
        places = text.partition(" first at ")[2]
        shorter = text, f"NaN or inf at {places}", f"NaN/inf {places}", "NaN/inf"
        yield from _between(f"{vertex.id}b", "header", shorter, span, top + 26, layout, hint=text, ink="red")
    for number, text, between in ranges:
        middle = layout.row(number)
        foot, row = middle + 20, layout.seen.rows[number]
        start, stop = column.ranges[0]
        yield rectangle(f"{vertex.id}_{number}f", "mark", span.start + 3, foot, span.size - 6, 0.8, fill="rule")
        yield from bars(f"{vertex.id}_{number}", row.left[start:stop], inside(span), foot, BAR, axis, subject=vertex.id)
        if span.size >= RANGE - 2:
            yield from _between(f"{vertex.id}_{number}r", "number", (between,), span, middle + 31, layout, hint=text)


def _between(
    name: str,
    role: Role,
    texts: Iterable[str],
    span: Span,
    y: float,
    layout: Layout,
    *,
    hint: str = "",
    ink: str = "muted",
) -> Iterator[Shape]:
    """Write the first text that has room in a fold, and beside the marks that cross it."""
    start, stop = max(layout.rooms(y, span.start + 1, span.stop - 1), key=lambda room: room[1] - room[0])
    text = next((text for text in texts if width_of(text, 11) <= stop - start), "")
    if text:
        yield words(name, role, text, (start + stop) / 2, y, 11, ink=ink, hint=hint)


def _ranges(layout: Layout, column: Column) -> Iterator[tuple[int, str, str]]:
    """Give every row that the credit takes through a fold: the row, a sentence, and from what to what."""
    start, stop = column.ranges[0]
    for number, row in enumerate(layout.seen.rows):
        if layout.seen.segments[column.segment] is not row.segment:
            continue
        known = [float(value) for value in row.left[start:stop] if not math.isnan(value)]
        if not known and row.reached[start:stop].any():
            yield number, f"{row.name}: not measured", "not known"
        elif not known:
            yield number, f"{row.name}: no credit of this loss gets here", "no credit"
        else:
            first, last = share_text(known[0]), share_text(known[-1])
            arrow = "→" if row.way == "right" else "←"
            yield number, f"{row.name}: {first} {arrow} {last}", f"{first} {arrow} {last}"


def vertices(layout: Layout) -> Iterator[Shape]:
    """Draw every box but the folds, and over a state how many of its units are saturated."""
    for vertex in layout.graph.vertices:
        if vertex.kind == "fold":
            continue
        place = layout.place(vertex)
        if vertex.kind == "input":
            yield _input(vertex, layout, place)
            continue
        form: Form = "box" if vertex.kind == "state" else "ellipse"
        paint = Paint("paper", "rule", "muted") if form == "box" else Paint("paper", "line", line="dotted", form=form)
        if vertex.share is not None:
            found = tone(vertex.share, floor=layout.seen.floor)
            paint = Paint(found.name, "line", found.text, form=form)
        yield vertex_shape(vertex, place, paint, vertex.note)
        part = vertex.saturated.high if vertex.saturated is not None else 0.0
        if part > METER_FROM:
            left, top, width = place.left, place.top - METER - 2, place.width
            yield rectangle(f"{vertex.id}s", "mark", left, top, width, METER, fill="paper", stroke="line",
                            thickness=0.6)  # fmt: skip
            yield rectangle(f"{vertex.id}p", "mark", left, top, width * part, METER, fill="ink",
                            hint=f"{part_text(part)} of the units are saturated")  # fmt: skip


def _input(vertex: Vertex, layout: Layout, place: Box) -> Shape:
    """Write the word that comes in, where there is one, else one letter."""
    word = word_of(layout.graph.columns[vertex.column])
    text, size = largest(word, place.width - 2, (12.0, SMALL, SMALLEST))
    return words(
        vertex.id, "vertex", text, place.x, place.y, size, ink="muted" if word == "x" else "ink",
        subject=vertex.id, hint=word if text != "x" else "the input", column=vertex.column,
    )  # fmt: skip


def word_of(column: Column) -> str:
    """Give the word that comes in at a step, where there is one, else one letter."""
    return one_line(column.label) if column.label else "x"
