"""The names around the graph: title and subtitle, the step over every column, the names of the rows.

In come a graph and its grid, out go shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import Grid
from rnngraph.graph.layout.metrics import balanced, fit, fit_end
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.pen import paragraph
from rnngraph.graph.sheet import Shape

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
