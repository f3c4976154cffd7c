"""From a graph that is seen from one loss to a sheet: everything is placed and coloured, and the rows are named.

Steps are as wide as each other but for their words, folds as the root of their steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnngraph.graph.layout.geometry import Span, one_line
from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.one_loss.arrows import curves
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.one_loss.boxes import folds, vertices, word_of
from rnngraph.graph.one_loss.fold import right_margin
from rnngraph.graph.one_loss.layout import LABEL_LINE, LABEL_TEXT, LABEL_UP, RANGE, Layout
from rnngraph.graph.one_loss.under import Under
from rnngraph.graph.one_loss.ways import holds
from rnngraph.graph.paper import SMALLEST, Paper
from rnngraph.graph.sheet import Sheet, flag, paragraph, words


def compose(graph: Graph) -> Sheet:
    """Place and colour everything."""
    layout = lay_out(graph)
    paper, seen = layout.paper, layout.seen
    axis = axis_of(np.concatenate([row.left for row in seen.rows]), seen.floor)
    paper.shapes += folds(layout, axis)
    _name_rows(layout)
    paper.shapes += vertices(layout)
    paper.y = layout.last_row + 79
    _name_columns(layout)
    paper.y = layout.rule
    Under(layout, axis).draw()
    paper.curves += curves(layout, axis)
    for number, (_, text, left, width, top) in enumerate(layout.flags):
        paper.shapes += flag(f"flag{number}", text, left, top, width)
    return paper.finish(graph.title, " ".join(text for text in (seen.why, seen.small) if text))


def _name_columns(layout: Layout) -> None:
    """Write the step under every column, and its lag: that of whichever row the credit takes there."""
    texts, seen = [], layout.seen
    for column in layout.graph.columns:
        steps = [row.lags[column.first] for row in seen.rows if column.kind == "step" and holds(seen, row, column)]
        lag = int(max(steps, default=-1))
        texts.append(f"lag {lag}" if lag >= 0 else "padding" if column.valid == 0 else "")
    layout.paper.column_names(layout.graph.columns, layout.columns, texts)


def _name_rows(layout: Layout) -> None:
    """Name every row: beside it, or above it where there is no room; and the segments of the time axis."""
    paper, wide = layout.paper, layout.paper.wide
    margin = paper.margin
    if wide:
        paper.shapes.append(words("lossname", "row", "loss", margin, layout.loss, 12, ink="muted", align="left"))
    for number, row in enumerate(layout.seen.rows):
        y, name, note = layout.row(number), one_line(row.name), one_line(row.note)
        if wide:
            paper.row_name(f"row{number}", name, note, y, layout.columns[0].start - 4)
        else:
            shown, left = layout.label(number)
            lines = shown.split("\n")
            top = y - LABEL_UP + LABEL_LINE * (0.5 - len(lines))
            paper.shapes.append(paragraph(f"row{number}", "row", lines, left, top, LABEL_LINE, LABEL_TEXT, bold=True,
                                          halo=True, hint=f"{name}, {note}"))  # fmt: skip
    for number, segment in enumerate(layout.seen.segments if len(layout.seen.segments) > 1 else ()):
        last = number == len(layout.seen.segments) - 1
        at = layout.edge((segment.start if last else segment.stop) - 0.5) + (8 if last else -8)
        y, name = layout.top - 10, one_line(segment.name)
        rooms = layout.rooms(y, *((at, paper.width - margin) if last else (margin, at)))[:: 1 if last else -1]
        left, right = next((one for one in rooms if one[1] - one[0] >= width_of(name, 12, bold=True)), rooms[0])
        text = fit(name, right - left, 12, bold=True)
        x, side = (left, "left") if last else (right, "right")
        paper.shapes.append(words(f"segment{number}", "row", text, x, y, 12, bold=True, ink="muted", align=side,
                                  halo=True))  # fmt: skip


WIDEST = 150.0  # of a column that has room
_WORD = 1.5  # columns in which a word has no more room


def lay_out(graph: Graph) -> Layout:
    """Place the columns of a graph."""
    seen = graph.seen
    assert seen is not None
    paper = Paper(seen.width, seen.theme)
    sizes, margin = paper.sizes, right_margin(seen.width, seen.rows)
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
    paper.width = max(float(seen.width), sizes.first + room + margin)
    paper.head(graph.title, seen.why, seen.small)
    return Layout(graph, seen, paper, paper.y, tuple(spans))


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
