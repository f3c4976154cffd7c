"""How every vertex and arrow looks: what a colour, a width and a dash mean is decided here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnngraph.errors import InputError
from rnngraph.graph.curves import Route
from rnngraph.graph.drawing import Curve, Line, Shape
from rnngraph.graph.geometry import Box, one_line, shorten
from rnngraph.graph.layout import LABEL, MARK, PART
from rnngraph.graph.measure import STATUS_TEXT, UNKNOWN, Measure, short
from rnngraph.graph.model import Edge, Graph, Vertex
from rnngraph.graph.palette import AMOUNT, FAINT, GREY, INK, LINE, ORANGE, PAPER, RED, Scale, balanced, decades
from rnngraph.graph.vertices import SATURATED as SATURATED
from rnngraph.trace.magnitudes import Status

COLOURS = ("grad", "gain", "saturation", "activation")
UNDERFLOW = "#8e44ad"

# kind -> (fill, border)
BOXES = {
    "state": ("#dbeafe", "#60a5fa"),
    "layer": ("#dbeafe", "#60a5fa"),
    "gate": ("#eff6ff", "#93c5fd"),
    "part": ("#f8fafc", "#b6c7dd"),
    "op": ("#eef2f7", "#c3cbd6"),
    "input": ("#eef2f7", "#c3cbd6"),
    "initial": ("#ffffff", "#93c5fd"),
    "loss": ("#fee2e2", "#f87171"),
    "fold": ("#f8fafc", "#94a3b8"),
    "cut": ("#ffffff", RED),
}
MASKED = ("#f3f4f6", "#d1d5db")
STATUS_LINES: dict[Status, tuple[str, Line]] = {
    Status.ZERO: (GREY, "dashed"),
    Status.UNDERFLOW: (UNDERFLOW, "dashed"),
    Status.NONFINITE: (RED, "solid"),
    Status.UNOBSERVED: (GREY, "dotted"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """The scales of one picture: of the arrows, the bars, the weights, and of the boxes where those are coloured."""

    color: str
    arrows: Scale
    bars: Scale
    weights: Scale
    fills: Scale | None


def choose_style(graph: Graph, color: str = "grad") -> Style:
    """Fit the scales to a graph.

    Raises:
        InputError: `color` is not one of "grad", "gain", "saturation", "activation".
    """
    if color not in COLOURS:
        raise InputError(f"color {color!r} is unknown; choose {', '.join(COLOURS)}.")
    arrows = _fit(graph.carried)
    if color == "gain":
        gains = [edge.gain for edge in graph.edges if edge.gain and edge.gain.status is Status.OK]
        low = min((math.log10(gain.low) for gain in gains), default=math.nan)
        arrows = balanced(low, max((gain.log10 for gain in gains), default=math.nan))
    fills = None
    if color == "saturation":
        fills = Scale(0.0, 1.0, AMOUNT)
    if color == "activation":
        known = [
            vertex.activation.high for vertex in graph.vertices if vertex.activation and vertex.activation.high > 0
        ]
        fills = Scale(0.0, max(known, default=1.0), AMOUNT)
    return Style(color, arrows, _fit(graph.gradients), _fit(graph.contributions), fills)


def vertex_shape(vertex: Vertex, box: Box, graph: Graph, style: Style) -> Shape:
    """Return a vertex's box with its colours, its label and its marks."""
    fill, stroke = BOXES[vertex.kind]
    ink, thickness = INK, 1.0
    line: Line = "dashed" if vertex.kind == "fold" else "solid"
    lines = [one_line(text) for text in vertex.label.split("\n")]
    column = graph.columns[vertex.column]
    if column.kind == "step" and column.valid == 0 and vertex.kind != "cut":
        (fill, stroke), ink = MASKED, GREY
    elif (painted := _painted(vertex, style)) is not None:
        fill, ink = painted
    if vertex.mark:
        stroke, thickness = ORANGE, 2.0
        lines.append(vertex.mark)
    if vertex.kind == "cut":
        ink = RED
    if vertex.first_nonfinite:
        stroke, thickness = RED, 3.0
    size = PART if vertex.kind in {"cut", "part"} else LABEL - 1 if vertex.kind in {"fold", "loss"} else LABEL
    size = MARK if vertex.mark else size
    room = box.width - 6
    return Shape(
        vertex.id, "vertex", "ellipse" if vertex.kind == "loss" else "box", box,
        "\n".join(shorten(text, room, size) for text in lines), fill, stroke, line, thickness, ink, size,
        subject=vertex.id, hint=_vertex_hint(vertex), column=vertex.column,
    )  # fmt: skip


def edge_curve(edge: Edge, route: Route, style: Style) -> Curve:
    """Return an arrow: thin and neutral forward, coloured and as wide as its gradient backward."""
    if edge.kind != "backward":
        stroke = "#c3cbd6" if edge.kind == "forward" else LINE
        return Curve(edge.id, edge.kind, edge.source, edge.target, route.points, stroke)
    if edge.cut:
        return Curve(edge.id, edge.kind, edge.source, edge.target, route.points, RED, 1.0, "dotted",
                     hint=f"{edge.state}: the recurrence is cut here, no gradient goes further back")  # fmt: skip
    carried = edge.carried or UNKNOWN
    shown = (edge.gain or UNKNOWN) if style.color == "gain" else carried
    if carried.status is not Status.OK:
        shown = carried  # a gain of what is zero or not finite says nothing
    stroke, line = STATUS_LINES.get(shown.status, (style.arrows.colour(shown.log10), "solid"))
    width = 1.2 + 3.2 * style.arrows.share(shown.log10) if shown.status is Status.OK else 1.2
    if shown.status is Status.NONFINITE:
        width = 3.0
    return Curve(
        edge.id, edge.kind, edge.source, edge.target, route.points, stroke, round(width, 2), line,
        "hollow" if shown.status is Status.UNDERFLOW else "filled",
        arrow_text(shown, style.color), route.label,
        _arrow_ink(shown, style), _edge_hint(edge),
    )  # fmt: skip


def arrow_text(shown: Measure, color: str) -> str:
    """Return what stands beside an arrow: the number, or the status in a word."""
    if shown.status is Status.OK:
        return ("×" if color == "gain" else "") + shown.text.replace(" … ", "…")
    return {Status.NONFINITE: "not finite", Status.UNOBSERVED: "?"}.get(shown.status, STATUS_TEXT[shown.status])


def _arrow_ink(shown: Measure, style: Style) -> str:
    if shown.status is Status.OK:
        return style.arrows.ink(shown.log10)
    return {Status.NONFINITE: RED, Status.UNDERFLOW: UNDERFLOW}.get(shown.status, FAINT)


def _painted(vertex: Vertex, style: Style) -> tuple[str, str] | None:
    if style.fills is None or vertex.kind not in {"state", "layer", "gate"}:
        return None
    found = vertex.saturated if style.color == "saturation" else vertex.activation
    if found is None or found.status is Status.UNOBSERVED:
        return (PAPER, FAINT) if found is not None else None
    value = 0.0 if math.isnan(found.high) else found.high
    return style.fills.colour(value), style.fills.contrast(value)


def _fit(found: Measure) -> Scale:
    if not found.low > 0:
        return decades(math.nan, math.nan)
    return decades(math.log10(found.low), math.log10(found.high))


def _vertex_hint(vertex: Vertex) -> str:
    parts = [vertex.state or "", vertex.note]
    if vertex.grad is not None and not vertex.note.startswith("‖"):
        parts.append(f"gradient {vertex.grad.text}")
    if vertex.saturated is not None:
        parts.append(f"saturated {vertex.saturated.text}")
    if vertex.activation is not None:
        parts.append(f"activation {vertex.activation.text}")
    return one_line(", ".join(part for part in parts if part))


def _edge_hint(edge: Edge) -> str:
    carried = edge.carried.text if edge.carried else "not observed"
    gain = f", gain {short(edge.gain.high)}" if edge.gain and edge.gain.status is Status.OK else ""
    return one_line(f"{edge.state}: carried {carried}{gain}")
