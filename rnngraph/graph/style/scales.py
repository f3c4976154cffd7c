"""The colour scales of one picture, and the colours that mean a status wherever they stand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnngraph.graph.model import Graph
from rnngraph.graph.sheet import Line
from rnngraph.graph.style.palette import Scale, balanced, decades
from rnngraph.graph.summary import Summary
from rnngraph.nearest import check_known
from rnngraph.trace.magnitudes import Status

COLOURS = ("grad", "gain", "saturation", "activation")
STATUS_LINES: dict[Status, tuple[str, Line]] = {
    Status.ZERO: ("grey", "dashed"),
    Status.UNDERFLOW: ("violet", "dashed"),
    Status.NONFINITE: ("red", "solid"),
    Status.UNOBSERVED: ("grey", "dotted"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """The scales of one picture: of the arrows, the bars, the weights, and of the boxes where those are coloured."""

    color: str
    arrows: Scale
    bars: Scale
    weights: Scale
    fills: Scale | None


def check_color(color: str) -> None:
    """Refuse a word that names no colouring.

    Raises:
        InputError: `color` is not one of "grad", "gain", "saturation", "activation".
    """
    check_known([color], COLOURS, "color {} is unknown; choose")


def choose_style(graph: Graph, color: str = "grad") -> Style:
    """Fit the scales to a graph."""
    arrows = _fit(graph.carried)
    if color == "gain":
        gains = [edge.gain for edge in graph.edges if edge.gain and edge.gain.status is Status.OK]
        low = min((math.log10(gain.low) for gain in gains), default=math.nan)
        arrows = balanced(low, max((gain.log10 for gain in gains), default=math.nan))
    fills = None
    if color == "saturation":
        fills = Scale(0.0, 1.0, "a")
    if color == "activation":
        used = [vertex.activation.high for vertex in graph.vertices if vertex.activation and vertex.activation.high > 0]
        fills = Scale(0.0, max(used, default=1.0), "a")
    return Style(color, arrows, _fit(graph.gradients), _fit(graph.contributions), fills)


def _fit(found: Summary) -> Scale:
    if not found.low > 0:
        return decades(math.nan, math.nan)
    return decades(math.log10(found.low), math.log10(found.high))
