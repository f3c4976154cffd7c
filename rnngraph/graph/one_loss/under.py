"""The strips under the graph, the steps under them, and the key, which names what the picture has and nothing else.

In: a layout. Out: shapes and curves, and how far down they reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.metrics import fit, fit_end, width_of, wrap
from rnngraph.graph.one_loss.bars import Axis, amounts, bars
from rnngraph.graph.one_loss.boxes import METER_FROM
from rnngraph.graph.one_loss.layout import Layout
from rnngraph.graph.one_loss.view import Strip
from rnngraph.graph.paper import SMALL, SMALLEST, TEXT, Swatch, shades
from rnngraph.graph.sheet import paragraph, rule, words
from rnngraph.graph.sizes import ticks
from rnngraph.graph.style.left import is_dotted
from rnngraph.graph.style.legend import box_marks

STRIP = 44.0  # the height of 100 %
AMOUNT = 12.0
TICK = 56.0  # the least distance of two ticks
_LEFT: dict[str, Any] = {"ink": "muted", "align": "left"}
_RIGHT = _LEFT | {"align": "right"}


@dataclass
class Under:
    """Draws strips and key from where the paper has come to."""

    layout: Layout
    axis: Axis

    def __post_init__(self) -> None:
        """Choose where the bars begin and end."""
        self.paper = self.layout.paper
        self.left, self.right = self.paper.sizes.strip, self.paper.width - self.paper.margin

    def draw(self) -> None:
        """Draw everything that stands under the graph."""
        paper = self.paper
        paper.curves.append(rule("rule", [(paper.margin, paper.y), (self.right, paper.y)], "rule"))
        paper.y += 8
        for number, strip in enumerate(self.layout.seen.strips):
            self._strip(strip, number)
        self._ticks()
        caption = next((strip.caption for strip in self.layout.seen.strips if strip.caption), "")
        if caption:
            found = wrap(caption, paper.read - self.left, 11.5)
            paper.shapes.append(paragraph("caption", "band", found, self.left, paper.y, 15, 11.5, ink="muted"))
            paper.y += 15 * len(found)
        paper.y += 17
        paper.key([Swatch("gradient left:", form="words"), *swatches(self.layout, self.axis)])
        paper.y += 14

    def _strip(self, strip: Strip, number: int) -> None:
        paper, identity, name = self.paper, f"strip{number}", one_line(strip.name)
        high, span = AMOUNT if strip.amount else STRIP, (self.left, self.right)
        self._name(strip, identity, name)
        foot = paper.y + high
        if strip.amount:
            paper.shapes += amounts(f"{identity}b", strip.values, span, foot, high)
        else:
            paper.shapes += bars(f"{identity}b", strip.values, span, foot, high, self.axis)
            for decades, text in self.axis.marks:
                y, line = foot - self.axis.share(decades) * high, f"{identity}m{abs(decades):.0f}"
                paper.curves.append(rule(line, [(self.left, y), (self.right, y)], "muted", line="dashed"))
                if paper.wide:
                    paper.shapes.append(words(f"{line}n", "number", text, self.left - 5, y, SMALL, **_RIGHT))
        paper.y = foot + 8

    def _name(self, strip: Strip, identity: str, name: str) -> None:
        """Name a strip beside it, or above it where there is no room."""
        paper = self.paper
        if not paper.wide:
            dashes = " and ".join(text for _, text in self.axis.marks)
            said = f"{name}: {strip.note}" + ("" if strip.amount else f", log scale; dashed: {dashes}")
            shown = fit(said, self.right - paper.margin, 11.5)
            paper.shapes.append(words(identity, "band", shown, paper.margin, paper.y + 7, 11.5, **_LEFT))
            paper.y += 17
            return
        room = self.left - paper.margin - 34
        more = () if strip.amount else (f"{strip.note}, log scale", "every step to scale")
        y, style = paper.y + (7 if strip.amount else 9), {"hint": f"{name}, {strip.note}"}
        first = fit_end(name, room, TEXT, bold=not strip.amount)
        paper.shapes.append(words(identity, "band", first, paper.margin, y, TEXT, bold=not strip.amount, align="left",
                                  **style))  # fmt: skip
        for line, text in enumerate(more, 1):
            at, shown = y + 13.5 * line, fit(text, room, SMALL)
            paper.shapes.append(words(f"{identity}_{line}", "band", shown, paper.margin, at, SMALL, **_LEFT | style))

    def _ticks(self) -> None:
        """Write timesteps under the strips: of every segment the first and round ones, and the last one of all."""
        segments, y, end = self.layout.seen.segments, self.paper.y + 3, -math.inf
        pitch = (self.right - self.left) / segments[-1].stop
        for segment in segments:
            last = segment is segments[-1]
            for t in ticks(range(segment.timesteps), pitch * segment.timesteps, apart=TICK):
                text, x = f"t={t}", self.left + (segment.start + t + 0.5) * pitch
                half = width_of(text, SMALLEST) / 2
                x = min(max(x, self.left + half), self.right - half)
                if x - half > end and (last or t < segment.timesteps - 1 or not t):
                    name = f"tick{segment.start + t}"
                    self.paper.shapes.append(words(name, "band", text, x, y, SMALLEST, ink="muted"))
                    end = x + half + 8
        self.paper.y += 14


def swatches(layout: Layout, axis: Axis) -> Iterator[Swatch]:
    """Name what is there."""
    yield from shades(axis.low, axis.high, axis.floor, short=not layout.paper.wide)
    back = [edge.share for edge in layout.graph.edges if edge.kind == "backward" and edge.share is not None]
    if any(map(is_dotted, back)):
        yield Swatch("dotted: less than 1 %", form="rule", line="dotted", thickness=1.2)
    shown = [vertex for vertex in layout.graph.vertices if vertex.kind in ("loss", "state")]
    states = [vertex for vertex in shown if vertex.kind == "state"]
    if any(vertex.kind == "loss" and not vertex.label for vertex in shown):
        yield Swatch("other losses, not part of this view", form="ellipse", line="dotted", thickness=1.0)
    if any(vertex.saturated and vertex.saturated.high > METER_FROM for vertex in states):
        yield Swatch("units saturated", form="meter")
    if any(vertex.share is None and not vertex.padding and not vertex.label for vertex in states):
        yield Swatch("no credit gets here", stroke="rule", thickness=1.0)
    if any(vertex.share is None and not vertex.padding and vertex.label for vertex in states):
        yield Swatch("?: not known", stroke="rule", thickness=1.0)
    yield from box_marks(layout.graph)
