"""What the key of the sum over all losses says: the colours of its scales, and a swatch for every mark that there is.

In: a graph and its style. Out: swatches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.sentences import part_text
from rnngraph.graph.model import Graph
from rnngraph.graph.paper import Swatch
from rnngraph.graph.style.palette import STATUS_LINES, Scale, Style
from rnngraph.graph.summary import short
from rnngraph.trace.magnitudes import Status

TICKS = 8
STATUS_NAMES = {
    Status.ZERO: "exactly zero",
    Status.UNDERFLOW: "underflow: too small for the number format",
    Status.NONFINITE: "not finite",
    Status.UNOBSERVED: "not observed",
}


def legend(graph: Graph, style: Style, *, backward: bool) -> Iterator[Swatch]:
    """Name the colours of every scale with their numbers, and every mark that occurs."""
    for text, scale, kind in _scales(graph, style, backward):
        yield Swatch(f"{text}:", form="words")
        for value in _ticks(scale, decades=kind == "decades"):
            colour = scale.colour(value)
            label = f"1e{value:.0f}" if kind == "decades" else short(10**value if kind == "factors" else value)
            yield Swatch(label, colour)
    yield from _marks(graph)


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
    yield from box_marks(graph)


def box_marks(graph: Graph) -> Iterator[Swatch]:
    """Name what a box may be in every picture."""
    if any(vertex.padding for vertex in graph.vertices):
        yield Swatch("padding", "padding", stroke="padding-line", thickness=1.0)
    if any(vertex.first_nonfinite for vertex in graph.vertices):
        yield Swatch("NaN or infinity first comes up", stroke="red", thickness=3.0)
