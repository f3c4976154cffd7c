"""The strips under the graph, the steps under them, and the key, which names what the picture has and nothing else.

In: a layout. Out: shapes and curves, and how far down they reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rnngraph.graph.key import SIZE, Swatch, draw_key, shades
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.metrics import fit, fit_end, width_of, wrap
from rnngraph.graph.one_loss.bars import Axis, amounts, bars
from rnngraph.graph.one_loss.boxes import METER_FROM
from rnngraph.graph.one_loss.layout import Layout
from rnngraph.graph.one_loss.view import Strip
from rnngraph.graph.sheet import Curve, Shape, paragraph, rule, words
from rnngraph.graph.sizes import round_step
from rnngraph.graph.style.left import is_dotted

STRIP = 44.0  # the height of 100 %
AMOUNT = 12.0
TICK = 56.0  # the least distance of two ticks
LEGEND = "gradient left:"


@dataclass
class Under:
    """Draws strips and legend from a height downwards; `y` is how far it has come."""

    layout: Layout
    axis: Axis
    y: float
    shapes: list[Shape] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Where the bars begin."""
        return self.layout.sizes.strip

    @property
    def right(self) -> float:
        """Where they end."""
        return self.layout.width - self.layout.sizes.margin

    def draw(self) -> None:
        """Draw everything that stands under the graph."""
        margin = self.layout.sizes.margin
        self.curves.append(rule("rule", [(margin, self.y), (self.right, self.y)], "rule"))
        self.y += 8
        for number, strip in enumerate(self.layout.seen.strips):
            self._strip(strip, number)
        self._ticks()
        caption = next((strip.caption for strip in self.layout.seen.strips if strip.caption), "")
        if caption:
            room = min(self.right, 1100.0) - (self.left if self.layout.wide else margin)
            found = wrap(caption, room, 11.5)
            x = self.left if self.layout.wide else margin
            self.shapes.append(paragraph("caption", "band", found, x, self.y, 15, 11.5, ink="muted"))
            self.y += 15 * len(found)
        self._legend(self.y + 17)

    def _legend(self, y: float) -> None:
        margin = self.layout.sizes.margin
        self.shapes.append(words("legend", "legend", LEGEND, margin, y, SIZE, ink="muted", align="left"))
        first = margin + width_of(LEGEND, SIZE) + 14
        left, right = first if self.layout.wide else margin, min(self.right, 1100.0)
        shapes, curves, (_, y) = draw_key(list(swatches(self.layout, self.axis)), (first, y), left=left, right=right)
        self.shapes += shapes
        self.curves += curves
        self.y = y + 14

    def _strip(self, strip: Strip, number: int) -> None:
        high = AMOUNT if strip.amount else STRIP
        margin, name = self.layout.sizes.margin, one_line(strip.name)
        if self.layout.wide:
            texts = [name] if strip.amount else [name, f"{strip.note}, log scale", "every step to scale"]
            room, top = self.left - margin - 34, self.y + (0 if strip.amount else 2)
            for line, text in enumerate(texts):
                size, style = (12.0, {"bold": not strip.amount}) if not line else (11.0, {"ink": "muted"})
                shown = fit_end(text, room, size) if strip.amount else fit(text, room, size, bold=not line)
                self.shapes.append(words(f"strip{number}_{line}", "band", shown, margin, top + 7 + 13.5 * line, size,
                                         align="left", hint=f"{name}, {strip.note}", **style))  # fmt: skip
        else:
            dashes = " and ".join(text for _, text in self.axis.marks)
            text = f"{name}: {strip.note}" + ("" if strip.amount else f", log scale; dashed: {dashes}")
            self.shapes.append(words(f"strip{number}", "band", fit(text, self.right - margin, 11.5), margin, self.y + 7,
                                     11.5, align="left", ink="muted"))  # fmt: skip
            self.y += 17
        foot = self.y + high
        span = self.left, self.right
        if strip.amount:
            self.shapes += amounts(f"strip{number}b", strip.values, span, foot, high)
            self.y = foot + 8
            return
        self.shapes += bars(f"strip{number}b", strip.values, span, foot, high, self.axis)
        for decades, text in self.axis.marks:
            y = foot - self.axis.share(decades) * high
            self.curves.append(rule(f"strip{number}m{abs(decades):.0f}", [(self.left, y), (self.right, y)], "muted",
                                    line="dashed"))  # fmt: skip
            if self.layout.wide:
                self.shapes.append(words(f"strip{number}n{abs(decades):.0f}", "number", text, self.left - 5, y, 11,
                                         ink="muted", align="right"))  # fmt: skip
        self.y = foot + 8

    def _ticks(self) -> None:
        """Write timesteps under the strips, at round distances, and the last one of every segment."""
        total = self.layout.seen.segments[-1].stop
        pitch, y = (self.right - self.left) / total, self.y + 3
        taken: list[tuple[float, float]] = []
        segments = self.layout.seen.segments
        step, last = round_step(TICK / pitch), segments[-1]
        fixed = [(one, 0) for one in segments] + [(last, last.timesteps - 1)]
        round_ones = [(one, t) for one in segments for t in range(step, one.timesteps, step)]
        for number, (segment, t) in enumerate(dict.fromkeys([*fixed, *round_ones])):
            text, x = f"t={t}", self.left + (segment.start + t + 0.5) * pitch
            half = width_of(text, 10.5) / 2
            x = min(max(x, self.left + half), self.right - half)
            near = taken if number <= len(fixed) else [*taken[: len(fixed)], taken[-1]]  # round ones come in order
            if all(x + half + 8 < a or x - half - 8 > b for a, b in near):
                taken.append((x - half, x + half))
                self.shapes.append(words(f"tick{segment.start + t}", "band", text, x, y, 10.5, ink="muted"))
        self.y += 14


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
    if any(vertex.share is None and not vertex.padding and not vertex.label for vertex in states):
        yield Swatch("no credit gets here", stroke="rule", thickness=1.0)
    if any(vertex.share is None and not vertex.padding and vertex.label for vertex in states):
        yield Swatch("?: not known", stroke="rule", thickness=1.0)
    if any(vertex.first_nonfinite for vertex in layout.graph.vertices):
        yield Swatch("NaN or infinity first comes up", stroke="red", thickness=3.0)
