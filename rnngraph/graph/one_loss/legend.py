"""What the key of a picture of one loss names: every colour of the scale and every mark that the picture has.

In: a layout. Out: swatches.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.graph.key import Swatch, shades
from rnngraph.graph.one_loss.bars import Axis
from rnngraph.graph.one_loss.boxes import METER_FROM
from rnngraph.graph.one_loss.layout import Layout
from rnngraph.graph.style.left import is_dotted


def swatches(layout: Layout, axis: Axis) -> Iterator[Swatch]:
    """Name what is there."""
    yield from shades(axis.low, axis.high, axis.floor, short=not layout.wide)
    back = [edge.share for edge in layout.graph.edges if edge.kind == "backward" and edge.share is not None]
    if any(map(is_dotted, back)):
        yield Swatch("dotted: less than 1 %", form="rule", line="dotted", thickness=1.2)
    shown = [vertex for vertex in layout.graph.vertices if vertex.kind in ("loss", "state")]
    states = [vertex for vertex in shown if vertex.kind == "state"]
    if any(vertex.kind == "loss" and not vertex.label for vertex in shown):
        yield Swatch("other losses, not part of this view", form="ellipse", line="dotted", thickness=1.0)
    if any(vertex.saturated and vertex.saturated.high > METER_FROM for vertex in states):
        yield Swatch("units saturated", form="meter")
    if any(vertex.padding for vertex in states):
        yield Swatch("padding", stroke="rule", line="dashed", thickness=1.0)
    if any(vertex.share is None and not vertex.padding for vertex in states):
        yield Swatch("no credit gets here", stroke="rule", thickness=1.0)
