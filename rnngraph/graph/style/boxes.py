"""How every vertex looks: the colour of its box, its label and its marks."""

from __future__ import annotations

import math

from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.grid import LABEL, MARK, PART
from rnngraph.graph.layout.metrics import fit
from rnngraph.graph.model import Vertex
from rnngraph.graph.sheet import Shape
from rnngraph.graph.style.scales import Style
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
