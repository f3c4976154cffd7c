"""From a graph that is seen from one loss to a sheet: everything is placed and coloured, and the rows are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.metrics import fit, fit_end, whole_lines, wrap
from rnngraph.graph.model import Graph
from rnngraph.graph.one_loss.arrows import curves
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.one_loss.boxes import folds, headers, vertices
from rnngraph.graph.one_loss.columns import lay_out
from rnngraph.graph.one_loss.layout import LABEL_LINE, LABEL_TEXT, LABEL_UP, Layout
from rnngraph.graph.one_loss.under import Under
from rnngraph.graph.pen import flag, paragraph, words
from rnngraph.graph.sheet import Shape, Sheet, Theme


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
    theme = cast(Theme, seen.theme)
    description = " ".join(text for text in (seen.why, seen.small) if text)
    return Sheet(
        shapes, (*under.curves, *curves(layout, axis)), frame, title=graph.title, description=description, unit="px",
        theme=theme,
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
            names = whole_lines(name, narrow, 12.5, bold=True, most=2) or [fit_end(name, narrow, 12.5, bold=True)]
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
        room = (layout.width - at if last else at) - layout.sizes.margin
        text = fit(one_line(segment.name), room, 12, bold=True)
        side = "left" if last else "right"
        yield words(f"segment{number}", "row", text, at, layout.top - 10, 12, bold=True, ink="muted", align=side,
                    halo=True)  # fmt: skip
