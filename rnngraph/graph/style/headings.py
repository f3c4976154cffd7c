"""What stands around the graph: title, subtitle and legend, the step over every column, the names of the rows.

In come a graph and its grid, out go shapes. The legend has the colour scale with its numbers, and a swatch for every
mark that the picture really has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.sentences import part_text
from rnngraph.graph.key import Swatch, draw_key
from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import Grid
from rnngraph.graph.layout.metrics import balanced, fit, fit_end, width_of
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.sheet import Shape, paragraph, words
from rnngraph.graph.style.palette import STATUS_LINES, Scale, Style
from rnngraph.graph.summary import short
from rnngraph.trace.magnitudes import Status

HEADER = 36.0  # the height of the steps' names and words
NAME = 11.0  # font size of the names of rows, bands and weights
GUTTER = 180.0  # the width of those names


def title(graph: Graph, grid: Grid, left: float) -> Iterator[Shape]:
    """Write title and subtitle above the legend, from the gutter to the right."""
    x, y = left - GUTTER, -grid.rows[-1].stop - 80
    room = max(900.0, grid.columns[-1].stop - x)
    for name, text, size, ink in (("subtitle", graph.subtitle, 12.0, "muted"), ("title", graph.title, 18.0, "ink")):
        bold = name == "title"
        lines = balanced(one_line(text), room, size, bold=bold)
        y -= 1.2 * size * len(lines) + 5
        yield paragraph(name, "title", lines, x, y, 1.2 * size, size, ink=ink, bold=bold)


def headers(graph: Graph, grid: Grid) -> Iterator[Shape]:
    """Name every column: the step, and its word where it has one."""
    for number, (column, span) in enumerate(zip(graph.columns, grid.columns, strict=True)):
        if column.kind == "initial":
            continue
        faint = column.kind == "step" and column.valid == 0
        ink = "padding-ink" if faint else "ink"
        yield Shape(f"head{number}", "header", "text", Box(span.middle, -17, span.size + 30, 15), _column_name(column),
                    ink=ink, size=12, bold=True, column=number)  # fmt: skip
        words = [] if column.label is None else [one_line(column.label)]
        if faint:
            words.append("(padding)")
        if words:
            text = fit(" ".join(words), span.size + 30, NAME)
            yield Shape(f"word{number}", "header", "text", Box(span.middle, -32, span.size + 36, 14), text,
                        ink=ink, size=NAME, column=number, hint=one_line(column.label or ""))  # fmt: skip


def row_names(graph: Graph, grid: Grid, left: float) -> Iterator[Shape]:
    """Name every row, to the left of the first column."""
    both = any(row.direction == "reverse" for row in graph.rows)
    for number, (row, span) in enumerate(zip(graph.rows, grid.rows, strict=True)):
        lines = [one_line(row.name), row.direction] if row.direction and both else [one_line(row.name)]
        text = "\n".join(fit_end(line, GUTTER - 10, NAME) for line in lines)
        yield Shape(f"row{number}", "row", "text", Box(left - GUTTER / 2, span.middle, GUTTER, 28), text,
                    ink="muted", size=NAME, align="left", hint=one_line(row.name))  # fmt: skip


def _column_name(column: Column) -> str:
    if column.kind == "step":
        return f"t={column.first}"
    if column.kind == "fold":
        return f"t={column.first} … {column.last}"
    text = ", ".join(f"{start} … {stop - 1}" if stop - start > 1 else str(start) for start, stop in column.ranges)
    return f"each of {column.count} steps, t={text}" if column.count > 1 else f"t={text}"


SWATCH = 32.0
TICKS = 8
TEXT = 10.5  # font size
STATUS_NAMES = {
    Status.ZERO: "exactly zero",
    Status.UNDERFLOW: "underflow: too small for the number format",
    Status.NONFINITE: "not finite",
    Status.UNOBSERVED: "not observed",
}


def legend(graph: Graph, style: Style, x: float, y: float, *, backward: bool) -> Iterator[Shape]:
    """Draw the marks at height `y` and the scales above them, from `x` to the right."""
    yield from draw_key(list(_marks(graph)), (x, -y), left=x, right=math.inf)[0]
    right, y = x, y + 32
    for number, (text, scale, kind) in enumerate(_scales(graph, style, backward)):
        yield words(f"scale{number}", "legend", text, right, -y, TEXT, align="left")
        right += width_of(text, TEXT) + 16
        for tick, value in enumerate(_ticks(scale, decades=kind == "decades")):
            box, colour = Box(right + SWATCH / 2, y, SWATCH, 10), scale.colour(value)
            yield Shape(f"scale{number}_{tick}", "legend", "rectangle", box, "", colour, colour, thickness=0.0)
            label = f"1e{value:.0f}" if kind == "decades" else short(10**value if kind == "factors" else value)
            yield words(f"scale{number}_{tick}t", "legend", label, box.x, 13 - y, 9.5, ink="muted")
            right += SWATCH
        right += 30


def _scales(graph: Graph, style: Style, backward: bool) -> Iterator[tuple[str, Scale, str]]:
    """Give text, scale and the kind of its numbers: whole decades, factors (as logarithms), or plain."""
    if backward and graph.carried.counts[Status.OK]:
        gain = style.color == "gain"
        text = "one-step gain of the gradient" if gain else "‖∂L/∂state‖ carried back in time"
        yield text, style.arrows, "factors" if gain else "decades"
    if style.fills is not None:
        text = "share of saturated units" if style.color == "saturation" else "root mean square of the state"
        yield text, style.fills, "plain"


def _ticks(scale: Scale, *, decades: bool) -> list[float]:
    """Return at most `TICKS` values from one end of a scale to the other; whole decades where asked."""
    if not decades:
        return [scale.low + (scale.high - scale.low) * number / 6 for number in range(7)]
    step = max(1, math.ceil((scale.high - scale.low) / (TICKS - 1)))
    count = int((scale.high - scale.low) / step)
    return [scale.high - step * number for number in range(count, -1, -1)]


def _marks(graph: Graph) -> Iterator[Swatch]:
    """Name every mark that occurs."""
    carried = [edge.carried for edge in graph.edges if edge.carried is not None]
    by_step = graph.contributions.status is not Status.UNOBSERVED
    shown = [band for band in graph.bands if not (band.kind == "weight" and by_step and band.silent)]
    found = {one.status for one in (*carried, *(one for band in shown for one in band.summaries if one))}
    for status, text in STATUS_NAMES.items():
        if status in found:
            stroke, line = STATUS_LINES[status]
            fill = stroke if status is Status.NONFINITE else "paper"
            yield Swatch(text, fill, stroke=stroke, line=line, thickness=1.2)
    if any(edge.cut for edge in graph.edges):
        yield Swatch("cut: no gradient passes", stroke="red", thickness=1.0)
    for word, share in graph.saturation:
        if any(vertex.mark.startswith(word) for vertex in graph.vertices):
            yield Swatch(f"at least {part_text(share)} of units {word}", stroke="orange", thickness=2.0)
    if any(vertex.padding for vertex in graph.vertices):
        yield Swatch("padding", "padding", stroke="padding-line", thickness=1.0)
    if any(vertex.first_nonfinite for vertex in graph.vertices):
        yield Swatch("first non-finite value", stroke="red", thickness=3.0)
