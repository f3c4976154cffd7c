"""How everything looks: a vertex by its box, its label and its marks, an arrow by its colour and its width.

Arrows are thin and neutral forward, coloured and as wide as their gradient back in time.
"""

from __future__ import annotations

import math

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import LABEL, MARK, PART
from rnngraph.graph.layout.metrics import fit
from rnngraph.graph.layout.routes import Route
from rnngraph.graph.model import Edge, Vertex
from rnngraph.graph.sheet import Curve, Shape
from rnngraph.graph.style.palette import STATUS_LINES, Style
from rnngraph.graph.summary import STATUS_TEXT, UNKNOWN, Summary, short
from rnngraph.trace.magnitudes import Status

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


def vertex_shape(vertex: Vertex, box: Box, style: Style) -> Shape:
    """Return a vertex's box with its colours, its label and its marks."""
    fill, stroke = KINDS[vertex.kind]
    ink, thickness = "red" if vertex.kind == "cut" else "ink", 1.0
    lines = [one_line(text) for text in vertex.label.split("\n")]
    if vertex.padding:
        (fill, stroke), ink = KINDS["padding"], "padding-ink"
    elif (painted := _painted(vertex, style)) is not None:
        fill, ink = painted
    if vertex.mark:
        stroke, thickness = "orange", 2.0
        lines.append(vertex.mark)
    if vertex.first_nonfinite:
        stroke, thickness = "red", 3.0
    size = PART if vertex.kind in {"cut", "part"} else LABEL - 1 if vertex.kind in {"fold", "loss"} else LABEL
    size = MARK if vertex.mark else size
    return Shape(
        vertex.id, "vertex", "ellipse" if vertex.kind == "loss" else "box", box,
        "\n".join(fit(text, box.width - 6, size) for text in lines), fill, stroke,
        "dashed" if vertex.kind == "fold" else "solid", thickness, ink, size,
        subject=vertex.id, hint=_hint(vertex), column=vertex.column,
    )  # fmt: skip


def _painted(vertex: Vertex, style: Style) -> tuple[str, str] | None:
    if style.fills is None or vertex.kind not in {"state", "layer", "gate"}:
        return None
    found = vertex.saturated if style.color == "saturation" else vertex.activation
    if found is None or found.status is Status.UNOBSERVED:
        return ("paper", "muted") if found is not None else None
    value = 0.0 if math.isnan(found.high) else found.high
    return style.fills.colour(value), style.fills.contrast(value)


def _hint(vertex: Vertex) -> str:
    parts = [vertex.state, vertex.note]
    if vertex.grad is not None and not vertex.note.startswith("‖"):
        parts.append(f"gradient {vertex.grad.text}")
    if vertex.saturated is not None:
        parts.append(f"saturated {vertex.saturated.text}")
    if vertex.activation is not None:
        parts.append(f"activation {vertex.activation.text}")
    return one_line(", ".join(part for part in parts if part))


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
