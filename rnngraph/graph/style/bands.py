"""The lines under the columns: a strip of bars a state, a line of cells a weight.

In: a graph, its grid and its style. Out: shapes on the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import Grid
from rnngraph.graph.layout.metrics import fit_end, width_of
from rnngraph.graph.model import Band, Graph
from rnngraph.graph.paper import SMALL, Paper
from rnngraph.graph.sheet import Shape, paragraph, words
from rnngraph.graph.style.palette import STATUS_LINES, Scale, Style
from rnngraph.graph.summary import Summary
from rnngraph.trace.magnitudes import Status

GUTTER = 180.0  # the width of the names on the left
BAR_STRIP = 38.0  # the height of a strip of bars
WEIGHT_LINE = 17.0  # of a weight's line
NUMBER = 10.0  # font size of numbers
WEIGHT = 10.5  # of a weight's name


def draw_bands(paper: Paper, graph: Graph, grid: Grid, style: Style) -> None:
    """Draw the lines under the columns, from where the paper has come to."""
    previous, by_step = "", graph.contributions.status is not Status.UNOBSERVED
    for number, band in enumerate(graph.bands):
        if band.kind != previous:
            paper.y += 14
            text = _caption_text(band, graph, style)
            paper.shapes.append(words(f"caption{number}", "band", text, paper.margin, paper.y, SMALL, align="left"))
            paper.y += 10
            previous = band.kind
        if band.kind == "gradient":
            paper.shapes.extend(_strip(band, number, paper, grid, style.bars))
            paper.y += BAR_STRIP + NUMBER + 13
        else:
            paper.shapes.extend(_weight(band, number, paper, grid, style.weights, by_step=by_step))
            paper.y += WEIGHT_LINE + 4


def _caption_text(band: Band, graph: Graph, style: Style) -> str:
    if band.kind == "weight":
        return "weights, shared by all steps: ‖∂L/∂W‖ that each step contributes"
    several = any(column.kind in {"fold", "loop"} for column in graph.columns)
    span = f"bars from 1e{style.bars.low:.0f} to 1e{style.bars.high:.0f}"
    return f"log10 ‖∂L/∂state‖ at every step, {span}{', the range where several steps are one' if several else ''}"


def _strip(band: Band, number: int, paper: Paper, grid: Grid, scale: Scale) -> Iterator[Shape]:
    foot, name = paper.y + BAR_STRIP, one_line(band.name)
    lines = [fit_end(name, GUTTER - 10, SMALL), band.note]
    yield paragraph(f"b{number}", "band", lines, paper.margin, paper.y + 5, 14, SMALL, subject=band.name, hint=name)
    for column, (found, span) in enumerate(zip(band.summaries, grid.columns, strict=True)):
        if found is None:
            continue
        bottom, top = _extent(found, scale)
        colour, line = STATUS_LINES.get(found.status, (scale.colour(found.log10), "solid"))
        height = max(2.0, (top - bottom) * BAR_STRIP)
        box = Box(span.middle, foot - bottom * BAR_STRIP - height / 2, min(span.size * 0.5, 52.0), height)
        fill = colour if found.status in {Status.OK, Status.NONFINITE} else "paper"
        yield Shape(f"b{number}_{column}", "bar", "rectangle", box, "", fill, colour, line, 0.8,
                    subject=band.name, column=column)  # fmt: skip
        ink = "red" if found.status is Status.NONFINITE else "ink"
        yield words(f"b{number}_{column}n", "number", found.text, span.middle, foot + 8, NUMBER, ink=ink,
                    subject=band.name, column=column)  # fmt: skip


def _extent(found: Summary, scale: Scale) -> tuple[float, float]:
    """Return a bar's lower and upper end as shares of the strip: from the floor, or of a fold the range."""
    if found.status is Status.NONFINITE:
        return 0.0, 1.0
    if found.status is not Status.OK:
        return 0.0, 0.12
    top = max(0.05, scale.share(found.log10))
    return (scale.share(math.log10(found.low)) if found.counts[Status.OK] == sum(found.counts) > 1 else 0.0), top


def _weight(band: Band, number: int, paper: Paper, grid: Grid, scale: Scale, *, by_step: bool) -> Iterator[Shape]:
    total = band.total.text if band.total else ""
    middle, name = paper.y + WEIGHT_LINE / 2, one_line(band.name)
    known = band.total is not None and band.total.status is not Status.UNOBSERVED
    texts = [f"{name}{gap}{band.note}{gap}sum {total}" for gap in ("  ", " ")] if known else []
    texts += [f"{name}  {band.note}", name]
    text = next((one for one in texts if width_of(one, WEIGHT) < GUTTER - 8), fit_end(name, GUTTER - 8, WEIGHT))
    yield Shape(f"b{number}", "band", "box", Box(paper.margin + GUTTER / 2 - 2, middle, GUTTER - 4, WEIGHT_LINE), text,
                "fold", "op-line", size=WEIGHT, subject=band.name,
                hint=one_line(f"{band.name}, {band.note}, gradient {total}"))  # fmt: skip
    if band.silent:
        # Where other weights are known step by step, this one is used once for all steps.
        text = "not per step" if known and by_step else "by step not observed"
        wide = width_of(text, NUMBER) + 8
        box = Box(grid.columns[0].start + wide / 2, middle, wide, WEIGHT_LINE)
        yield Shape(f"b{number}_", "cell", "rectangle", box, text, "paper", "grey",
                    "solid" if known and by_step else "dotted", 0.8, "muted", NUMBER, subject=band.name)  # fmt: skip
        return
    for column, (found, span) in enumerate(zip(band.summaries, grid.columns, strict=True)):
        if found is None:
            continue
        is_number = found.status is Status.OK
        colour, line = STATUS_LINES.get(found.status, (scale.colour(found.log10), "solid"))
        ink = scale.contrast(found.log10) if is_number else colour if line == "solid" else "muted"
        box = Box(span.middle, middle, min(span.size, 110.0), WEIGHT_LINE)
        yield Shape(f"b{number}_{column}", "cell", "rectangle", box, found.text, colour if is_number else "paper",
                    colour, line, 0.8, ink, NUMBER, subject=band.name, column=column)  # fmt: skip
