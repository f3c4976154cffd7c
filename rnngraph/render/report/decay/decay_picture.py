"""The decay report as a picture: a row a layer on one logarithmic axis, the published start behind it.

In: a `DecayReport`. Out: a sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnngraph.errors import InputError
from rnngraph.graph.charts.axes import AXIS, Axes
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.metrics import fit, fit_end, width_of, wrap
from rnngraph.graph.paper import SMALL, TEXT, Paper, Swatch
from rnngraph.graph.sheet import Sheet, paragraph, rectangle, rule, words
from rnngraph.graph.style.palette import Scale
from rnngraph.render.report.decay.decay_report import halving, reach, summary_of
from rnngraph.render.report.decay.histogram import axis_of, counts, decade_text, decades_of, place_of
from rnngraph.render.report.text import steps_text
from rnngraph.trace.decay import DecayReport, Five, LayerDecay
from rnngraph.trace.magnitudes import Floats

BARS, BAND, BATCH = "muted", "rule", "g0"
_NAMES, _NUMBERS, _CURVE, _GAP, _TALL, _BIN = 184.0, 150.0, 190.0, 14.0, 34.0, 5.0
_LINE = 15.0  # from one line of text to the next
_LEFT: dict[str, Any] = {"ink": "muted", "align": "left"}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the parts of a row begin, and how wide they are: beside each other, or below each other on a phone."""

    names: tuple[float, float]
    plot: tuple[float, float]
    numbers: tuple[float, float]
    curve: tuple[float, float]


def decay_sheet(report: DecayReport, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw the half-lives of a report.

    Raises:
        InputError: no layer to draw, or an option that is not one of its choices.
    """
    if not report.layers:
        raise InputError(f"{report.source} has no layer that was read, so there is nothing to draw.")
    paper, axis = Paper(width, theme), axis_of(report)
    title = f"{report.source}: half-lives at zero input"
    small = "At zero input: what was set, not what a trained model remembers."
    paper.head(title, "", small)
    live = any(layer.live is not None for layer in report.layers)
    published = any(layer.published for layer in report.layers)
    marks = ((True, BARS, "decays of the layer"), (published, BAND, "published start, 10 to 90 %"),
             (live, BATCH, "on the batch, 10 to 90 %"))  # fmt: skip
    paper.y += 12
    paper.key([Swatch(text, fill) for wanted, fill, text in marks if wanted])
    columns = _columns(paper, live=live)
    paper.y += 24
    _ruler(paper, axis, columns.plot, "above")
    paper.y += 14
    for number, layer in enumerate(report.layers):
        _Row(paper, layer, axis, columns, f"r{number}").draw()
    _ruler(paper, axis, columns.plot, "below")
    left, wide = columns.plot
    paper.shapes.append(
        words("unit", "legend", "half-life in steps, ln 2 / rate", left + wide / 2, paper.y + 18, SMALL, ink="muted")
    )
    paper.y += 28
    return paper.finish(title, small)


def _columns(paper: Paper, *, live: bool) -> _Columns:
    left, inner = paper.margin, paper.inner
    if not paper.wide:
        return _Columns((left, inner), (left + 10, inner - 20), (left, inner), (left, inner))
    right = left + inner - (_CURVE + _GAP if live else 0)
    plot = left + _NAMES + _GAP, right - left - _NAMES - _NUMBERS - 2 * _GAP
    return _Columns((left, _NAMES), plot, (right - _NUMBERS, _NUMBERS), (right + _GAP, _CURVE))


def _ruler(paper: Paper, axis: Scale, plot: tuple[float, float], name: str) -> None:
    left, wide = plot
    for decade in decades_of(axis, int(wide // 36)):
        x = left + axis.share(decade) * wide
        paper.shapes.append(
            words(f"{name}{decade}".replace("-", "u"), "legend", decade_text(decade), x, paper.y, SMALL, ink="muted")
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """One layer, drawn from where the paper has come to."""

    paper: Paper
    layer: LayerDecay
    axis: Scale
    columns: _Columns
    name: str

    def draw(self) -> None:
        """Draw it, and leave the paper where it ends."""
        top = self.paper.y
        below = self._names(top)
        base = (top + 4 if self.paper.wide else below) + _TALL
        self._plot(base)
        ends = [below, base + 10]
        live = self.layer.live
        if live is not None and live.quantiles is not None:
            self._span(live.quantiles, base + 12)
            ends.append(base + 36)
        credit = summary_of(self.layer)
        ends.append(self._numbers(top if self.paper.wide else max(ends)))
        if credit is not None and credit.sums.longest:
            ends.append(self._credit(credit.left[: credit.sums.longest], top if self.paper.wide else max(ends) + 6))
        self.paper.y = max(ends) + 10

    def _x(self, half_life: float) -> float:
        left, wide = self.columns.plot
        return left + place_of(half_life, self.axis) * wide

    def _write(self, text: str, x: float, y: float, size: float = SMALL, **style: Any) -> None:
        shapes = self.paper.shapes
        shapes.append(words(f"{self.name}t{len(shapes)}", "row", text, x, y, size, **_LEFT | style))

    def _names(self, y: float) -> float:
        """Write the layer, its family, and what is wrong with it; give where that ends."""
        layer, (left, room), name = self.layer, self.columns.names, one_line(self.layer.shown_name)
        self._write(fit_end(name, room, TEXT, bold=True), left, y + 8, TEXT, bold=True, ink="ink", hint=name)
        self._write(fit(f"{one_line(layer.family)}, {layer.n} decays", room, SMALL), left, y + 8 + _LINE)
        found = [(one.rule.replace("_", " "), "red" if one.severity == "error" else "g0") for one in layer.findings]
        if not layer.judged and not found:
            found = [("not judged", "muted")]
        x, y = left, y + 8 + 2 * _LINE
        for text, ink in found:
            long = width_of(text, SMALL, bold=True) + 10
            if x > left and x + long > left + room:
                x, y = left, y + _LINE
            self._write(text, x, y, bold=ink != "muted", ink=ink)
            x += long
        return y + (10 if found else -5)

    def _plot(self, base: float) -> None:
        shapes, axis, (left, wide), published = self.paper.shapes, self.axis, self.columns.plot, self.layer.published
        if published is not None:
            low, high = published[0][1], published[1][3]
            said = f"published start: {steps_text(low)} to {steps_text(high)} steps"
            x, long = self._x(low), max(self._x(high) - self._x(low), 2)
            shapes.append(rectangle(f"{self.name}p", "band", x, base - _TALL, long, _TALL, fill=BAND, hint=said))
        for decade in range(int(axis.low), int(axis.high) + 1):
            name, thick = f"{self.name}g{decade}".replace("-", "u"), 1.0 if decade == 0 else 0.4
            x = left + axis.share(decade) * wide - thick / 2
            shapes.append(rectangle(name, "band", x, base - _TALL, thick, _TALL, fill="line"))
        bins = int(wide // _BIN)
        found, pitch = counts(self.layer.half_lives, axis, bins), wide / bins
        most = max(int(found.max()), 1)
        for place in found.nonzero()[0].tolist():
            tall = max(int(found[place]) / most * (_TALL - 4), 1.5)
            low, high = (10 ** (axis.low + (place + end) / bins * (axis.high - axis.low)) for end in (0, 1))
            said = f"{int(found[place])} decays about {steps_text(low)} to {steps_text(high)} steps"
            shapes.append(rectangle(f"{self.name}b{place}", "bar", left + place * pitch, base - tall, pitch - 0.6, tall,
                                    fill=BARS, hint=said))  # fmt: skip
        self.paper.curves.append(rule(f"{self.name}base", [(left, base), (left + wide, base)], "line", thickness=0.6))

    def _span(self, quantiles: Five, y: float) -> None:
        """Draw what the batch did, under the bars."""
        low, middle, high = (self._x(value) for value in quantiles[1:4])
        said, right = " · ".join(steps_text(value) for value in quantiles[1:4]), sum(self.columns.plot)
        self.paper.shapes += [
            rectangle(f"{self.name}s", "bar", low, y - 2, max(high - low, 2), 5, fill=BATCH,
                      hint=f"on the batch: {said} steps"),
            rectangle(f"{self.name}m", "bar", middle - 2, y - 5, 4, 11, fill="ink"),
        ]  # fmt: skip
        if high + 10 + width_of(said, SMALL) < right:
            self._write(said, high + 10, y)
        else:
            self._write(said, right, y + _LINE, align="right")

    def _numbers(self, y: float) -> float:
        """Write what the row comes to; give where that ends."""
        left, room = self.columns.numbers
        shortest, _, middle, _, longest = (steps_text(value) for value in self.layer.quantiles)
        self._write(f"{shortest} · {middle} · {longest}", left, y + 8, TEXT, ink="ink")
        self._write("shortest · median · longest", left, y + 8 + _LINE)
        if self.layer.live is None:
            return y + 10 + 2 * _LINE
        credit = summary_of(self.layer)
        text = f"credit halves in {halving(credit)} steps, reaches lag {reach(credit)}"
        lines = wrap(text, room, SMALL)
        self.paper.shapes.append(paragraph(f"{self.name}c", "row", lines, left, y + 2 * _LINE, _LINE, SMALL))
        return y + (2 + len(lines)) * _LINE

    def _credit(self, left: Floats, top: float) -> float:
        """Draw what is left of all losses together, by lag; give where that ends."""
        start, wide = self.columns.curve
        axes = Axes(self.paper, f"{self.name}a", range(1, len(left) + 1), (left,), left=start + AXIS,
                    top=top + 6, width=wide - AXIS - 10, height=64)  # fmt: skip
        axes.grid("credit left, by lag")
        axes.curve(left, "ink", thickness=1.6)
        return axes.foot + 38
