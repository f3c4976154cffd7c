"""How everything looks: a vertex by its box, its label and its marks, an arrow by its colour and its width.

Arrows are thin and neutral forward, coloured and as wide as their gradient back in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.metrics import largest
from rnngraph.graph.layout.routes import Route
from rnngraph.graph.model import Edge, Vertex
from rnngraph.graph.sheet import Curve, Form, Line, Shape
from rnngraph.graph.style.left import MARK
from rnngraph.graph.style.palette import STATUS_LINES, Style
from rnngraph.graph.summary import STATUS_TEXT, UNKNOWN, Summary, short
from rnngraph.trace.magnitudes import Status

SIZES = (12.5, 11.5, 10.5)  # of the text in a box, by choice; a picture is also read at half its size
# kind -> (fill, border)
KINDS = {
    "state": ("state", "line"),
    "layer": ("state", "line"),
    "gate": ("fold", "gate-line"),
    "part": ("fold", "op-line"),
    "op": ("fold", "op-line"),
    "input": ("fold", "op-line"),
    "initial": ("paper", "gate-line"),
    "loss": ("paper", "line"),
    "fold": ("fold", "fold-line"),
    "cut": ("paper", "red"),
    "padding": ("padding", "padding-line"),
}


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of a box, its line and its form."""

    fill: str
    stroke: str
    ink: str = "ink"
    line: Line = "solid"
    form: Form = "box"


def vertex_shape(vertex: Vertex, box: Box, paint: Paint, hint: str) -> Shape:
    """Return a vertex's box with its colours, its label and its marks."""
    thickness, lines = 1.0, [one_line(text) for text in vertex.label.split("\n")]
    if vertex.padding:
        paint = Paint(*KINDS["padding"], "padding-ink", form=paint.form)
        lines = lines if vertex.label else ["pad"]
    if vertex.mark:
        paint, thickness = replace(paint, stroke="orange"), 2.0
        lines.append(vertex.mark)
    if vertex.first_nonfinite:
        paint, thickness = replace(paint, stroke="red"), 3.0
    bold = vertex.share is not None and vertex.share >= MARK
    high = (box.height - 2) / (1.2 * len(lines))
    sizes = [size for size in SIZES if size <= high] or SIZES[-1:]
    text, size = largest("\n".join(lines), box.width - (4 if bold else 6), sizes, bold=bold)
    return Shape(
        vertex.id, "vertex", paint.form, box, text, paint.fill, paint.stroke, paint.line, thickness, paint.ink, size,
        bold, subject=vertex.id, hint=one_line(hint), column=vertex.column,
    )  # fmt: skip


def summed_shape(vertex: Vertex, box: Box, style: Style) -> Shape:
    """Return the box of a vertex in the sum over all losses."""
    line: Line = "dashed" if vertex.kind == "fold" else "solid"
    form: Form = "ellipse" if vertex.kind == "loss" else "box"
    paint = Paint(*KINDS[vertex.kind], "red" if vertex.kind == "cut" else "ink", line, form)
    if style.fills is not None and vertex.kind in {"state", "layer", "gate"}:
        found = vertex.saturated if style.color == "saturation" else vertex.activation
        if found is not None:
            value = 0.0 if math.isnan(found.high) else found.high
            known = found.status is not Status.UNOBSERVED
            fill, ink = (style.fills.colour(value), style.fills.contrast(value)) if known else ("paper", "muted")
            paint = replace(paint, fill=fill, ink=ink)
    return vertex_shape(vertex, box, paint, _hint(vertex))


def _hint(vertex: Vertex) -> str:
    parts = [vertex.state, vertex.note]
    if vertex.grad is not None and not vertex.note.startswith("‖"):
        parts.append(f"gradient {vertex.grad.text}")
    if vertex.saturated is not None:
        parts.append(f"saturated {vertex.saturated.text}")
    if vertex.activation is not None:
        parts.append(f"activation {vertex.activation.text}")
    return ", ".join(part for part in parts if part)


def edge_curve(edge: Edge, route: Route, style: Style) -> Curve:
    """Return an edge's arrow."""
    if edge.kind != "backward":
        stroke = "op-line" if edge.kind == "forward" else "line"
        return Curve(edge.id, edge.kind, edge.source, edge.target, route.points, stroke)
    if edge.cut:
        return Curve(edge.id, edge.kind, edge.source, edge.target, route.points, "red", 1.0, "dotted",
                     hint=f"{edge.state}: the recurrence is cut here, no gradient goes further back")  # fmt: skip
    carried = edge.carried or UNKNOWN
    shown = (edge.gain or UNKNOWN) if style.color == "gain" else carried
    if carried.status is not Status.OK:
        shown = carried  # a gain of what is zero or not finite says nothing
    stroke, line = STATUS_LINES.get(shown.status, (style.arrows.colour(shown.log10), "solid"))
    width = 1.2 + 3.2 * style.arrows.share(shown.log10) if shown.status is Status.OK else 1.2
    return Curve(
        edge.id, edge.kind, edge.source, edge.target, route.points, stroke,
        3.0 if shown.status is Status.NONFINITE else round(width, 2), line,
        "hollow" if shown.status is Status.UNDERFLOW else "filled",
        _text(shown, style.color), route.label, _ink(shown, style), _edge_hint(edge),
    )  # fmt: skip


def _text(shown: Summary, color: str) -> str:
    """Return what stands beside an arrow: the number, or the status in a word."""
    if shown.status is Status.OK:
        return ("×" if color == "gain" else "") + shown.text.replace(" … ", "…")
    return "?" if shown.status is Status.UNOBSERVED else STATUS_TEXT[shown.status]


def _ink(shown: Summary, style: Style) -> str:
    if shown.status is Status.OK:
        return style.arrows.ink(shown.log10)
    return {Status.NONFINITE: "red", Status.UNDERFLOW: "violet"}.get(shown.status, "muted")


def _edge_hint(edge: Edge) -> str:
    carried = edge.carried.text if edge.carried else "not observed"
    gain = f", gain {short(edge.gain.high)}" if edge.gain and edge.gain.status is Status.OK else ""
    return one_line(f"{edge.state}: carried {carried}{gain}")
