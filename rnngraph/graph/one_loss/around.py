"""What stands around the boxes: the sentences, the flags, the names of the rows, the strips and the legend.

In: a layout. Out: shapes and curves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rnngraph.graph.layout.geometry import one_line, shorten_name
from rnngraph.graph.layout.metrics import fit, width_of, wrap
from rnngraph.graph.one_loss.bars import Axis, amounts, bars
from rnngraph.graph.one_loss.layout import FLAG, FLAG_TEXT, LABEL_TEXT, LABEL_UP, Layout
from rnngraph.graph.one_loss.model import Strip
from rnngraph.graph.one_loss.pen import paragraph, rectangle, rule, words
from rnngraph.graph.sheet import Curve, Shape

STRIP = 44.0  # the height of 100 %
AMOUNT = 12.0
TICK = 56.0  # the least distance of two ticks


def head(layout: Layout) -> Iterator[Shape]:
    """Write where, why and what is shown."""
    sizes = layout.sizes
    for name, lines, top, (size, step), style in (
        ("title", layout.title, sizes.margin, sizes.title, {"bold": True}),
        ("why", layout.why, layout.why_top, sizes.why, {}),
        ("small", layout.small, layout.small_top, sizes.small, {"ink": "muted"}),
    ):
        if lines:
            yield paragraph(name, "title", lines, sizes.margin, top, step, size, **style)


def flags(layout: Layout) -> Iterator[Shape]:
    """Draw the flags of the marks."""
    for number, (_, text, left, width, top) in enumerate(layout.flags):
        yield rectangle(f"flag{number}", "mark", left, top, width, FLAG, fill="ink", stroke="ink", form="box",
                        thickness=0.5)  # fmt: skip
        yield words(f"flag{number}t", "mark", fit(text, width - 8, FLAG_TEXT, bold=True), left + width / 2,
                    top + FLAG / 2, FLAG_TEXT, ink="paper", bold=True, hint=text)  # fmt: skip


def row_names(layout: Layout) -> Iterator[Shape]:
    """Name every row: beside it, or above it where there is no room; and the segments of the time axis."""
    x = layout.sizes.margin
    if layout.wide:
        yield words("lossname", "row", "loss", x, layout.loss, 12, ink="muted", align="left")
    for number, row in enumerate(layout.seen.rows):
        y, name, note = layout.row(number), one_line(row.name), one_line(row.note)
        hint = f"{name}, {note}"
        if layout.wide:
            narrow = layout.columns[0].start - x - 4
            yield words(f"row{number}", "row", shorten_name(name, narrow, 12.5), x, y - 5, 12.5, bold=True,
                        align="left", hint=hint)  # fmt: skip
            if note:
                lines = wrap(note, narrow, 11, most=2)
                yield paragraph(f"row{number}n", "row", lines, x, y + 2.5, 13, 11, ink="muted", hint=hint)
        else:
            name = layout.label(number)
            yield words(f"row{number}", "row", name, layout.label_x, y - LABEL_UP, LABEL_TEXT, bold=True,
                        align="left", halo=True, hint=hint)  # fmt: skip
    for number, segment in enumerate(layout.seen.segments if len(layout.seen.segments) > 1 else ()):
        last = number == len(layout.seen.segments) - 1
        at = layout.edge((segment.start if last else segment.stop) - 0.5) + (8 if last else -8)
        room = (layout.width - at if last else at) - layout.sizes.margin
        text = fit(one_line(segment.name), room, 12, bold=True)
        side = "left" if last else "right"
        yield words(f"segment{number}", "row", text, at, layout.top - 10, 12, bold=True, ink="muted", align=side,
                    halo=True)  # fmt: skip


@dataclass
class Under:
    """The strips and the legend, from a height downwards; `y` is how far they have come."""

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
        self.y += 10
        self._legend()

    def _strip(self, strip: Strip, number: int) -> None:
        high = AMOUNT if strip.amount else STRIP
        margin, name = self.layout.sizes.margin, one_line(strip.name)
        if self.layout.wide:
            texts = [name] if strip.amount else [name, strip.note, "every step to scale"]
            room, top = self.left - margin - 34, self.y + (0 if strip.amount else 2)
            for line, text in enumerate(texts):
                size, style = (12.0, {"bold": not strip.amount}) if not line else (11.0, {"ink": "muted"})
                shown = shorten_name(text, room, size) if strip.amount else fit(text, room, size, bold=not line)
                self.shapes.append(words(f"strip{number}_{line}", "band", shown, margin, top + 7 + 13.5 * line, size,
                                         align="left", hint=f"{name}, {strip.note}", **style))  # fmt: skip
        else:
            dashes = " and ".join(text for _, text in self.axis.marks)
            text = f"{name}: {strip.note}" + ("" if strip.amount else f", every step; dashed: {dashes}")
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
        step = next((n * 10**e for e in range(8) for n in (1, 2, 5) if n * 10**e * pitch >= TICK), total)
        last = segments[-1]
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

    def _legend(self) -> None:
        """Draw a swatch for every colour of the scale and every mark that the picture has."""
        margin = self.layout.sizes.margin
        title = "gain left:"
        x, y, size = margin + width_of(title, 11) + 14, self.y + 7, 11.0
        self.shapes.append(words("legend", "legend", title, margin, y, size, ink="muted", align="left"))
        for number, (kind, text) in enumerate(self._marks()):
            wide = 24 + width_of(text, size) + 14
            if x + wide - 14 > min(self.right, 1100.0) and x > margin + 60:
                x, y = margin + (width_of(title, 11) + 14 if self.layout.wide else 0), y + 18
            self._swatch(number, kind, x, y)
            self.shapes.append(words(f"legend{number}t", "legend", text, x + 25, y, size, ink="muted", align="left"))
            x += wide
        self.y = y + 14

    def _swatch(self, number: int, kind: str, x: float, y: float) -> None:
        identity = f"legend{number}"
        if kind == "dotted":
            self.curves.append(rule(identity, [(x, y), (x + 20, y)], "line", thickness=1.2, line="dotted"))
        elif kind == "loss":
            self.shapes.append(rectangle(identity, "legend", x + 6, y - 6, 12, 12, form="ellipse", fill="paper",
                                         stroke="line", thickness=1.0, line="dotted"))  # fmt: skip
        elif kind == "meter":
            self.shapes.append(rectangle(identity, "legend", x, y - 2, 20, 4, fill="paper", stroke="line",
                                         thickness=0.6))  # fmt: skip
            self.shapes.append(rectangle(f"{identity}p", "legend", x, y - 2, 13, 4, fill="ink"))
        elif kind in ("empty", "padding"):
            self.shapes.append(rectangle(identity, "legend", x, y - 5, 20, 10, form="box", fill="paper", stroke="rule",
                                         thickness=1.0, line="dashed" if kind == "padding" else "solid"))  # fmt: skip
        else:
            self.shapes.append(rectangle(identity, "legend", x, y - 5, 20, 10, form="box", fill=kind, stroke="line",
                                         thickness=0.6))  # fmt: skip

    def _marks(self) -> Iterator[tuple[str, str]]:
        graph = self.layout.graph
        grows = self.axis.high > 0
        least = self.axis.low < 0
        wide = self.layout.wide
        if grows:
            yield "k12", "×1"
            for kind, text, decades in (("g0", "×10", 0.5), ("g1", "×100", 1), ("g2", "×1e4", 2), ("g3", "more", 4)):
                if self.axis.high > decades:
                    yield kind, text
        else:
            yield "k12", "100 %"
        if least:
            yield from (("k10", "10 %"),) if wide else ()
            low = f"{10**self.axis.floor:.0e}".replace("e-0", "e-")
            yield from (("k8", "1 %"), ("k4", "1e-4"), ("k0", f"{low} or less"))
            states = [vertex.share for vertex in graph.vertices if vertex.share is not None]
            if any(share < -2 for share in states):
                yield "dotted", "dotted: less than 1 %"
        shown = [vertex for vertex in graph.vertices if vertex.kind in ("loss", "state")]
        if any(vertex.kind == "loss" and not vertex.label for vertex in shown):
            yield "loss", "other losses, not part of this view"
        if any(vertex.saturated and vertex.saturated.high > 0.25 for vertex in shown):
            yield "meter", "units saturated"
        if any(vertex.kind == "state" and vertex.padding for vertex in shown):
            yield "padding", "padding"
        if any(vertex.kind == "state" and vertex.share is None and not vertex.padding for vertex in shown):
            yield "empty", "no credit gets here"
