"""How every arrow looks: thin and neutral forward, coloured and as wide as its gradient back in time."""

from __future__ import annotations

from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.routes import Route
from rnngraph.graph.model import Edge
from rnngraph.graph.sheet import Curve
from rnngraph.graph.style.scales import STATUS_LINES, Style
from rnngraph.graph.summary import STATUS_TEXT, UNKNOWN, Summary, short
from rnngraph.trace.magnitudes import Status


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
        _text(shown, style.color), route.label, _ink(shown, style), _hint(edge),
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


def _hint(edge: Edge) -> str:
    carried = edge.carried.text if edge.carried else "not observed"
    gain = f", gain {short(edge.gain.high)}" if edge.gain and edge.gain.status is Status.OK else ""
    return one_line(f"{edge.state}: carried {carried}{gain}")
