"""The legend: the colour scale with its numbers, and a swatch for every mark that the picture really has.

In come a graph and its style, out go shapes on two lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.graph.drawing import Line, Shape
from rnngraph.graph.geometry import Box, text_width
from rnngraph.graph.measure import short
from rnngraph.graph.model import Band, Graph
from rnngraph.graph.palette import FAINT, INK, ORANGE, RED, Scale
from rnngraph.graph.style import MASKED, STATUS_LINES, Style
from rnngraph.graph.vertices import INACTIVE, SATURATED
from rnngraph.trace.magnitudes import Status

SWATCH = 32.0
TICKS = 8


def legend(graph: Graph, style: Style, x: float, y: float, *, backward: bool) -> Iterator[Shape]:
    """Draw the marks at height `y` and the scales above them, from `x` to the right."""
    place = x
    for number, (text, fill, stroke, line, width) in enumerate(_marks(graph)):
        yield Shape(f"mark{number}", "legend", "rectangle", Box(place + 11, y, 22, 11), "", fill, stroke, line, width)
        span = text_width(text, 10.5) + 10
        yield Shape(f"mark{number}t", "legend", "text", Box(place + 26 + span / 2, y, span, 15), text,
                    ink=INK, size=10.5, align="left")  # fmt: skip
        place += 26 + span + 12
    place, y = x, y + 32
    scales: list[tuple[str, Scale, bool]] = []
    if backward and graph.carried.counts[Status.OK]:
        text = "one-step gain of the gradient" if style.color == "gain" else "‖∂L/∂state‖ carried back in time"
        scales.append((text, style.arrows, True))
    if style.fills is not None:
        text = "share of saturated units" if style.color == "saturation" else "root mean square of the state"
        scales.append((text, style.fills, False))
    for number, (text, scale, powers) in enumerate(scales):
        span = text_width(text, 10.5) + 10
        yield Shape(
            f"scale{number}",
            "legend",
            "text",
            Box(place + span / 2, y, span, 15),
            text,
            ink=INK,
            size=10.5,
            align="left",
        )
        place += span + 6
        for tick, value in enumerate(ticks(scale, whole=powers and style.color != "gain")):
            box = Box(place + SWATCH / 2, y, SWATCH, 10)
            colour = scale.colour(value)
            yield Shape(f"scale{number}_{tick}", "legend", "rectangle", box, "", colour, colour, thickness=0.0)
            label = f"1e{value:.0f}" if powers and style.color != "gain" else short(10**value if powers else value)
            yield Shape(f"scale{number}_{tick}t", "legend", "text", Box(box.x, y - 13, SWATCH + 6, 13), label,
                        ink=FAINT, size=9.5)  # fmt: skip
            place += SWATCH
        place += 30


def is_silent(band: Band) -> bool:
    """Whether nothing of a line is known step by step."""
    return all(found is None or found.status is Status.UNOBSERVED for found in band.cells)


def ticks(scale: Scale, *, whole: bool) -> list[float]:
    """Return at most `TICKS` values from one end of a scale to the other; whole decades where asked."""
    if not whole:
        return [scale.low + (scale.high - scale.low) * number / 6 for number in range(7)]
    step = max(1, math.ceil((scale.high - scale.low) / (TICKS - 1)))
    count = int((scale.high - scale.low) / step)
    return [scale.high - step * number for number in range(count, -1, -1)]


def _marks(graph: Graph) -> Iterator[tuple[str, str, str, Line, float]]:
    """Give text, fill, border, line and width of every mark that occurs."""
    carried = [edge.carried for edge in graph.edges if edge.carried is not None]
    by_step = graph.contributions.status is not Status.UNOBSERVED
    shown = [band for band in graph.bands if not (band.kind == "weight" and by_step and is_silent(band))]
    found = {measure.status for measure in (*carried, *(cell for band in shown for cell in band.cells if cell))}
    texts = {
        Status.ZERO: "exactly zero",
        Status.UNDERFLOW: "underflow: too small for the number format",
        Status.NONFINITE: "not finite",
        Status.UNOBSERVED: "not observed",
    }
    for status, text in texts.items():
        if status in found:
            stroke, line = STATUS_LINES[status]
            yield text, stroke if status is Status.NONFINITE else "#ffffff", stroke, line, 1.2
    if any(edge.cut for edge in graph.edges):
        yield "cut: no gradient passes", "#ffffff", RED, "solid", 1.0
    for word, share in (("saturated", SATURATED), ("inactive", INACTIVE)):
        if any(vertex.mark.startswith(word) for vertex in graph.vertices):
            yield f"at least {share:.0%} of units {word}", "#ffffff", ORANGE, "solid", 2.0
    if any(column.kind == "step" and column.valid == 0 for column in graph.columns):
        yield "padding", MASKED[0], MASKED[1], "solid", 1.0
    if any(vertex.first_nonfinite for vertex in graph.vertices):
        yield "first non-finite value", "#ffffff", RED, "solid", 3.0
