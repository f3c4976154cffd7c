"""From a graph that is seen from one loss to a sheet: everything is placed and coloured, and the rows are named.

Steps are as wide as each other but for their words, folds as the root of their steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import Span
from rnngraph.graph.layout.metrics import fit, name_lines, width_of, wrap
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.one_loss.arrows import curves
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.one_loss.boxes import folds, headers, vertices, word_of
from rnngraph.graph.one_loss.fold import right_margin
from rnngraph.graph.one_loss.layout import LABEL_LINE, LABEL_TEXT, LABEL_UP, RANGE, SMALLEST, Layout
from rnngraph.graph.one_loss.under import Under
from rnngraph.graph.sheet import Shape, Sheet, flag, paragraph, words
from rnngraph.graph.sizes import is_wide, sizes_of


def compose(graph: Graph) -> Sheet:
    """Place and colour everything."""
    layout = lay_out(graph)
    seen = layout.seen
    axis = axis_of(np.concatenate([row.left for row in seen.rows]), seen.floor)
    under = Under(layout, axis, layout.rule)
    under.draw()
    shapes = (
        *layout.head[0], *folds(layout, axis), *_row_names(layout), *vertices(layout), *headers(layout), *under.shapes,
        *_flags(layout),
    )  # fmt: skip
    high = under.y + layout.sizes.margin / 2
    frame = Box(layout.width / 2, -high / 2, layout.width, high)
    description = " ".join(text for text in (seen.why, seen.small) if text)
    return Sheet(
        shapes, (*under.curves, *curves(layout, axis)), frame, title=graph.title, description=description, unit="px",
        theme=seen.theme,
    )  # fmt: skip


def _flags(layout: Layout) -> Iterator[Shape]:
    """Draw the flags of the marks."""
    for number, (_, text, left, width, top) in enumerate(layout.flags):
        yield from flag(f"flag{number}", text, left, top, width)


def _row_names(layout: Layout) -> Iterator[Shape]:
    """Name every row: beside it, or above it where there is no room; and the segments of the time axis."""
    x = layout.sizes.margin
    if layout.wide:
        yield words("lossname", "row", "loss", x, layout.loss, 12, ink="muted", align="left")
    for number, row in enumerate(layout.seen.rows):
        y, name, note = layout.row(number), one_line(row.name), one_line(row.note)
        hint = f"{name}, {note}"
        if layout.wide:
            narrow = layout.columns[0].start - x - 4
            names = name_lines(name, narrow, 12.5, most=3)
            middle = y + 6.5 * (len(names) - 1)
            yield paragraph(
                f"row{number}", "row", names, x, middle + 1.5 - 13 * len(names), 13, 12.5, bold=True, hint=hint
            )
            if note:
                lines = wrap(note, narrow, 11, most=2)
                yield paragraph(f"row{number}n", "row", lines, x, middle + 2.5, 13, 11, ink="muted", hint=hint)
        else:
            name, left = layout.label(number)
            lines = name.split("\n")
            top = y - LABEL_UP + LABEL_LINE * (0.5 - len(lines))
            yield paragraph(
                f"row{number}", "row", lines, left, top, LABEL_LINE, LABEL_TEXT, bold=True, halo=True, hint=hint
            )
    for number, segment in enumerate(layout.seen.segments if len(layout.seen.segments) > 1 else ()):
        last = number == len(layout.seen.segments) - 1
        at = layout.edge((segment.start if last else segment.stop) - 0.5) + (8 if last else -8)
        y, name, margin = layout.top - 10, one_line(segment.name), layout.sizes.margin
        rooms = layout.rooms(y, *((at, layout.width - margin) if last else (margin, at)))[:: 1 if last else -1]
        left, right = next((one for one in rooms if one[1] - one[0] >= width_of(name, 12, bold=True)), rooms[0])
        text = fit(name, right - left, 12, bold=True)
        x, side = (left, "left") if last else (right, "right")
        yield words(f"segment{number}", "row", text, x, y, 12, bold=True, ink="muted", align=side, halo=True)


WIDEST = 150.0  # of a column that has room
_WORD = 1.5  # columns in which a word has no more room


def lay_out(graph: Graph) -> Layout:
    """Place the columns of a graph."""
    seen = graph.seen
    assert seen is not None
    sizes, wide = sizes_of(seen.width), is_wide(seen.width)
    margin = right_margin(seen.width, seen.rows)
    steps = [column for column in graph.columns if column.kind == "step"]
    folded = [column for column in graph.columns if column.kind == "fold"]
    room = seen.width - sizes.first - margin
    if seen.own:
        pitch = max(sizes.pitch, min(WIDEST, (room - 60 * len(folded)) / max(len(steps), 1)))
        room = max(room, pitch * len(steps) + 60 * len(folded))
    elif folded:
        # A fold had better be wide enough to say its range.
        pitch = max(sizes.close, min(sizes.pitch, (room - RANGE * len(folded)) / max(len(steps), 1)))
        pitch = max(sizes.least, min(pitch, (room - sizes.fold * len(folded)) / max(len(steps), 1)))
    else:
        pitch = min(WIDEST, room / max(len(steps), 1))
    roots = sum(math.sqrt(column.count) for column in folded) or 1.0
    least = min(sizes.fold, (room - pitch * len(steps)) / max(len(folded), 1))
    left_over = room - pitch * len(steps) - least * len(folded)
    wider = _for_words(graph.columns, pitch, left_over, _WORD * sizes.pitch)
    left_over -= sum(wider.values())
    spans, x = [], sizes.first
    for number, column in enumerate(graph.columns):
        if column.kind == "initial":
            spans.append(Span(sizes.first - 46, sizes.first) if not number else Span(x, x + 44))
            continue
        own = pitch + wider.get(number, 0.0)
        size = own if column.kind == "step" else least + left_over * math.sqrt(column.count) / roots
        spans.append(Span(x, x + size))
        x += size
    width = max(float(seen.width), sizes.first + room + margin)
    return Layout(graph, seen, sizes, wide, width, tuple(spans))


def _for_words(columns: Sequence[Column], pitch: float, spare: float, most: float) -> dict[int, float]:
    """Say by how much steps are wider than others for their words' sake, those first that need the least."""
    found: dict[int, float] = {}
    needed = {number: width_of(fit(word_of(column), most, SMALLEST), SMALLEST) + 3 - pitch
              for number, column in enumerate(columns) if column.kind == "step"}  # fmt: skip
    for number, more in sorted(needed.items(), key=lambda one: one[1]):
        if 0 < more <= spare:
            found[number] = more
            spare -= more
    return found
