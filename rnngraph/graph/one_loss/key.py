"""The legend: a swatch for every colour of the scale and every mark that the picture has.

In: a layout and a height. Out: shapes and curves, and how far down they reach.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.one_loss.bars import Axis
from rnngraph.graph.one_loss.boxes import METER_FROM
from rnngraph.graph.one_loss.layout import Layout
from rnngraph.graph.pen import rectangle, rule, words
from rnngraph.graph.sheet import Curve, Shape
from rnngraph.graph.style.left import MARK

TITLE = "gain left:"
SIZE = 11.0


def legend(layout: Layout, axis: Axis, y: float, shapes: list[Shape], curves: list[Curve]) -> float:
    """Add the legend at a height; return where it ends."""
    margin = layout.sizes.margin
    first = margin + width_of(TITLE, SIZE) + 14
    right = min(layout.width - margin, 1100.0)
    shapes.append(words("legend", "legend", TITLE, margin, y, SIZE, ink="muted", align="left"))
    x = first
    for number, (kind, text) in enumerate(_entries(layout, axis)):
        wide = 24 + width_of(text, SIZE)
        if x + wide > right and x > first:
            x, y = first if layout.wide else margin, y + 18
        text = fit(text, right - x - 25, SIZE)
        found = _swatch(f"legend{number}", kind, x, y)
        curves += [one for one in found if isinstance(one, Curve)]
        shapes += [one for one in found if isinstance(one, Shape)]
        shapes.append(words(f"legend{number}t", "legend", text, x + 25, y, SIZE, ink="muted", align="left"))
        x += wide + 14
    return y + 14


def _swatch(identity: str, kind: str, x: float, y: float) -> list[Shape | Curve]:
    if kind == "dotted":
        return [rule(identity, [(x, y), (x + 20, y)], "line", thickness=1.2, line="dotted")]
    if kind == "loss":
        return [rectangle(identity, "legend", x + 6, y - 6, 12, 12, form="ellipse", fill="paper", stroke="line",
                          thickness=1.0, line="dotted")]  # fmt: skip
    if kind == "meter":
        return [
            rectangle(identity, "legend", x, y - 2, 20, 4, fill="paper", stroke="line", thickness=0.6),
            rectangle(f"{identity}p", "legend", x, y - 2, 13, 4, fill="ink"),
        ]
    bare = kind in ("empty", "padding")
    return [rectangle(identity, "legend", x, y - 5, 20, 10, form="box", fill="paper" if bare else kind,
                      stroke="rule" if bare else "line", thickness=1.0 if bare else 0.6,
                      line="dashed" if kind == "padding" else "solid")]  # fmt: skip


def _entries(layout: Layout, axis: Axis) -> Iterator[tuple[str, str]]:
    yield from _colours(layout, axis)
    shown = [vertex for vertex in layout.graph.vertices if vertex.kind in ("loss", "state")]
    states = [vertex for vertex in shown if vertex.kind == "state"]
    if any(vertex.share is not None and vertex.share < MARK for vertex in states):
        yield "dotted", "dotted: less than 1 %"
    if any(vertex.kind == "loss" and not vertex.label for vertex in shown):
        yield "loss", "other losses, not part of this view"
    if any(vertex.saturated and vertex.saturated.high > METER_FROM for vertex in states):
        yield "meter", "units saturated"
    if any(vertex.padding for vertex in states):
        yield "padding", "padding"
    if any(vertex.share is None and not vertex.padding for vertex in states):
        yield "empty", "no credit gets here"


def _colours(layout: Layout, axis: Axis) -> Iterator[tuple[str, str]]:
    """Give the steps of the scale that the picture reaches, and the decades of growth from which a colour begins."""
    if axis.high > 0:
        yield "k12", "×1"
        for kind, text, decades in (("g0", "×10", 0.5), ("g1", "×100", 1), ("g2", "×1e4", 2), ("g3", "more", 4)):
            if axis.high > decades:
                yield kind, text
    else:
        yield "k12", "100 %"
    if axis.low < 0:
        yield from [("k10", "10 %")] if layout.wide else []
        yield "k8", "1 %"
        yield from [("k4", "1e-4")] if axis.floor < -4 else []
        yield "k0", f"{10**axis.floor:.0e} or less".replace("e-0", "e-")
