"""What stands around the graph: title, step headers, row names, the strip of bars, the weights' lines, the legend.

In come a graph, its grid and its style, out go shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.graph.drawing import Shape
from rnngraph.graph.geometry import Box, one_line, shorten, shorten_name, text_width
from rnngraph.graph.layout import Grid
from rnngraph.graph.legend import is_silent, legend
from rnngraph.graph.measure import Measure
from rnngraph.graph.model import Band, Column, Graph
from rnngraph.graph.palette import FAINT, GREY, INK, RED, Scale
from rnngraph.graph.style import STATUS_LINES, Style
from rnngraph.trace.magnitudes import Status

HEADER = 36.0
STRIP = 38.0
CELL = 17.0
NUMBER = 10.0
NAME = 11.0  # font size of the names of rows, bands and weights
WEIGHT = 10.5
GUTTER = 180.0


def headers(graph: Graph, grid: Grid) -> Iterator[Shape]:
    """Name every column: the step, and its word where it has one."""
    for number, (column, span) in enumerate(zip(graph.columns, grid.columns, strict=True)):
        if column.kind == "initial":
            continue
        faint = column.kind == "step" and column.valid == 0
        ink = GREY if faint else INK
        yield Shape(f"head{number}", "header", "text", Box(span.middle, -17, span.size + 30, 15), _column_name(column),
                    ink=ink, size=12, bold=True, column=number)  # fmt: skip
        words = [] if column.label is None else [one_line(column.label)]
        if faint:
            words.append("(padding)")
        if words:
            text = shorten(" ".join(words), span.size + 30, NAME)
            yield Shape(f"word{number}", "header", "text", Box(span.middle, -32, span.size + 36, 14), text,
                        ink=ink, size=NAME, column=number, hint=one_line(column.label or ""))  # fmt: skip


def _column_name(column: Column) -> str:
    if column.kind == "step":
        return f"t={column.first}"
    if column.kind == "fold":
        return f"t={column.first} … {column.last}"
    text = ", ".join(f"{start} … {stop - 1}" if stop - start > 1 else str(start) for start, stop in column.ranges)
    return f"each of {column.count} steps, t={text}" if column.count > 1 else f"t={text}"


def row_names(graph: Graph, grid: Grid, left: float) -> Iterator[Shape]:
    """Name every row, to the left of the first column."""
    both = any(row.direction == "reverse" for row in graph.rows)
    for number, (row, span) in enumerate(zip(graph.rows, grid.rows, strict=True)):
        text = f"{row.name}\n{row.direction}" if row.direction and both else row.name
        lines = [shorten_name(one_line(line), GUTTER - 10, NAME) for line in text.split("\n")]
        yield Shape(f"row{number}", "row", "text", Box(left - GUTTER / 2, span.middle, GUTTER, 28), "\n".join(lines),
                    ink=FAINT, size=NAME, align="left", hint=one_line(row.name))  # fmt: skip


def bands(graph: Graph, grid: Grid, style: Style, left: float) -> tuple[tuple[Shape, ...], float]:
    """Draw the lines under the columns; return their shapes and the y at which they end."""
    shapes: list[Shape] = []
    y = -HEADER - 16
    previous = ""
    by_step = graph.contributions.status is not Status.UNOBSERVED
    for number, band in enumerate(graph.bands):
        if band.kind != previous:
            y -= 14
            text = _caption(band, graph, style)
            shapes.append(
                _left(f"caption{number}", text, left, y, width=text_width(text, NAME) + 10, ink=INK, size=NAME)
            )
            y -= 10
            previous = band.kind
        if band.kind == "gradient":
            y -= STRIP
            shapes.extend(_strip(band, number, y, grid, style.bars, left))
            y -= NUMBER + 13
        else:
            y -= CELL
            shapes.extend(_line(band, number, y, grid, style.weights, left, by_step=by_step))
            y -= 4
    return tuple(shapes), y


def _caption(band: Band, graph: Graph, style: Style) -> str:
    if band.kind == "weight":
        return "weights, shared by all steps: ‖∂L/∂W‖ that each step contributes"
    several = any(column.kind in {"fold", "loop"} for column in graph.columns)
    span = f"bars from {_power(style.bars.low)} to {_power(style.bars.high)}"
    return f"log10 ‖∂L/∂state‖ at every step, {span}{', the range where several steps are one' if several else ''}"


def _left(identity: str, text: str, left: float, y: float, *, width: float, ink: str, size: float) -> Shape:
    return Shape(
        identity,
        "band",
        "text",
        Box(left - GUTTER + width / 2, y, width, size + 4),
        text,
        ink=ink,
        size=size,
        align="left",
    )


def _strip(band: Band, number: int, y: float, grid: Grid, scale: Scale, left: float) -> Iterator[Shape]:
    text = f"{shorten_name(one_line(band.name), GUTTER - 10, NAME)}\n{band.note}"
    yield Shape(f"b{number}", "band", "text", Box(left - GUTTER / 2, y + STRIP / 2, GUTTER, 28), text,
                ink=INK, size=NAME, align="left", subject=band.name,
                hint="" if text.startswith(one_line(band.name)) else one_line(band.name))  # fmt: skip
    for column, (found, span) in enumerate(zip(band.cells, grid.columns, strict=True)):
        if found is None:
            continue
        bottom, top = _extent(found, scale)
        colour, line = STATUS_LINES.get(found.status, (scale.colour(found.log10), "solid"))
        height = max(2.0, (top - bottom) * STRIP)
        box = Box(span.middle, y + bottom * STRIP + height / 2, min(span.size * 0.5, 52.0), height)
        fill = colour if found.status in {Status.OK, Status.NONFINITE} else "#ffffff"
        yield Shape(f"b{number}_{column}", "bar", "rectangle", box, "", fill, colour, line, 0.8,
                    subject=band.name, column=column)  # fmt: skip
        ink = RED if found.status is Status.NONFINITE else INK
        yield Shape(f"b{number}_{column}n", "number", "text", Box(span.middle, y - 8, span.size + 24, 14), found.text,
                    ink=ink, size=NUMBER, subject=band.name, column=column)  # fmt: skip


def _extent(found: Measure, scale: Scale) -> tuple[float, float]:
    """Return a bar's lower and upper end as shares of the strip: from the floor, or of a fold the range."""
    if found.status is Status.NONFINITE:
        return 0.0, 1.0
    if found.status is not Status.OK:
        return 0.0, 0.12
    top = max(0.05, scale.share(found.log10))
    return (scale.share(math.log10(found.low)) if found.counts[Status.OK] == sum(found.counts) > 1 else 0.0), top


def _line(
    band: Band, number: int, y: float, grid: Grid, scale: Scale, left: float, *, by_step: bool
) -> Iterator[Shape]:
    total = band.total.text if band.total else ""
    middle = y + CELL / 2
    name, known = one_line(band.name), band.total is not None and band.total.status is not Status.UNOBSERVED
    texts = [f"{name}{gap}{band.note}{gap}sum {total}" for gap in ("  ", " ")] if known else []
    texts += [f"{name}  {band.note}", name]
    text = next((one for one in texts if text_width(one, WEIGHT) < GUTTER - 8), shorten_name(name, GUTTER - 8, WEIGHT))
    box = Box(left - GUTTER / 2 - 2, middle, GUTTER - 4, CELL)
    yield Shape(f"b{number}", "band", "box", box, text, "#fef9ec", "#e3c98a", size=WEIGHT,
                subject=band.name, hint=one_line(f"{band.name}, {band.note}, gradient {total}"))  # fmt: skip
    if is_silent(band):
        # Where other weights are known step by step, this one is used once for all steps.
        text = "not per step" if known and by_step else "by step not observed"
        wide = text_width(text, NUMBER) + 8
        yield Shape(f"b{number}_", "cell", "rectangle", Box(grid.columns[0].start + wide / 2, middle, wide, CELL), text,
                    "#ffffff", GREY, "solid" if known and by_step else "dotted", 0.8, FAINT, NUMBER,
                    subject=band.name)  # fmt: skip
        return
    for column, (found, span) in enumerate(zip(band.cells, grid.columns, strict=True)):
        if found is None:
            continue
        known = found.status is Status.OK
        colour, line = STATUS_LINES.get(found.status, (scale.colour(found.log10), "solid"))
        yield Shape(f"b{number}_{column}", "cell", "rectangle", Box(span.middle, middle, min(span.size, 110.0), CELL),
                    found.text, colour if known else "#ffffff", colour, line, 0.8,
                    scale.contrast(found.log10) if known else colour if line == "solid" else FAINT, NUMBER,
                    subject=band.name, column=column)  # fmt: skip


def title(graph: Graph, grid: Grid, style: Style, left: float, *, backward: bool) -> tuple[Shape, ...]:
    """Write title, subtitle and legend above the graph, from `left` to the right."""
    x, top = left - GUTTER, grid.rows[-1].stop
    shapes = list(legend(graph, style, x, top + 22, backward=backward))
    for name, text, y, size in (
        ("subtitle", graph.subtitle, top + 88, 12.0),
        ("title", graph.title, top + 110, 18.0),
    ):
        whole = one_line(text)
        text = shorten(whole, max(900.0, grid.columns[-1].stop - x), size)
        width = text_width(text, size) * 1.05 + 8
        shapes.append(Shape(name, "title", "text", Box(x + width / 2, y, width, size + 6), text,
                            ink=INK if name == "title" else FAINT, size=size, bold=name == "title",
                            align="left", hint=whole if text != whole else ""))  # fmt: skip
    return tuple(shapes)


def _power(exponent: float) -> str:
    return f"1e{exponent:.0f}"
