"""How every vertex looks: the colour of its box, its label and its marks."""

from __future__ import annotations

import math

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import LABEL, MARK, PART
from rnngraph.graph.layout.metrics import fit
from rnngraph.graph.model import Vertex
from rnngraph.graph.sheet import Shape
from rnngraph.graph.style.palette import GREY, ORANGE, RED
from rnngraph.graph.style.scales import Style
from rnngraph.trace.magnitudes import Status

# kind -> (fill, border)
KINDS = {
    "state": ("#dbeafe", "#60a5fa"),
    "layer": ("#dbeafe", "#60a5fa"),
    "gate": ("#eff6ff", "#93c5fd"),
    "part": ("#f8fafc", "#b6c7dd"),
    "op": ("#eef2f7", "#c3cbd6"),
    "input": ("#eef2f7", "#c3cbd6"),
    "initial": ("paper", "#93c5fd"),
    "loss": ("#fee2e2", "#f87171"),
    "fold": ("#f8fafc", "#94a3b8"),
    "cut": ("paper", RED),
}
PADDING = ("#f3f4f6", "#d1d5db")


def vertex_shape(vertex: Vertex, box: Box, style: Style) -> Shape:
    """Return a vertex's box with its colours, its label and its marks."""
    fill, stroke = KINDS[vertex.kind]
    ink, thickness = RED if vertex.kind == "cut" else "ink", 1.0
    lines = [one_line(text) for text in vertex.label.split("\n")]
    if vertex.padding:
        (fill, stroke), ink = PADDING, GREY
    elif (painted := _painted(vertex, style)) is not None:
        fill, ink = painted
    if vertex.mark:
        stroke, thickness = ORANGE, 2.0
        lines.append(vertex.mark)
    if vertex.first_nonfinite:
        stroke, thickness = RED, 3.0
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
