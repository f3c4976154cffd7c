"""A panel of a chart: curves over lags or steps, in decades, with a marked place.

In: a `Panel` and where it stands. Out: shapes. What is smaller than the axis has is shaded, and named in words; an
exact zero is there too. A curve breaks where nothing was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.graph.layout.geometry import shorten, text_width
from rnngraph.render.report.chart.colours import GRID, INK, LINE, MUTED, PAPER, SHADE
from rnngraph.render.report.chart.shapes import Box, Label, Line, Shape
from rnngraph.trace.magnitudes import Floats

Points = tuple[tuple[float, float], ...]
LEFT, ABOVE, BELOW = 54, 44, 44  # room for the axis, the heading, and the numbers below
_POINTS, _STRIP, _MOST = 240, 20, 8  # points of a curve, pixels of the shaded strip, decades of growth shown
_LETTER = 13  # pixels
_PERCENT = -2  # decades: the level at which credit ends


@dataclass(frozen=True, slots=True)
class Curve:
    """Decades by place; entry 0 is the first place of the panel. `name` stands at its end."""

    values: Floats
    stroke: str
    width: float = 1.6
    dashed: bool = False
    title: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves of one thing. `lowest` is the least decade of the axis, `mark` a place and what is written beside it."""

    heading: str
    curves: tuple[Curve, ...]
    below: str  # what the places are
    first: int = 1
    mark: tuple[int, str] | None = None
    lowest: int = -6
    percent: bool = True  # whether 1 % is drawn as the end of credit


@dataclass(frozen=True, slots=True)
class _Axes:
    left: float
    top: float
    width: float
    height: float
    first: int
    last: int
    low: float
    high: float
    strip: float  # pixels below the axis for what is smaller; 0 where nothing is

    def x(self, place: float) -> float:
        return self.left + (place - self.first) / max(self.last - self.first, 1) * self.width

    def y(self, decades: float) -> float:
        return self.top + (self.high - decades) / (self.high - self.low) * (self.height - self.strip)


def panel_shapes(panel: Panel, left: float, top: float, width: float, height: float) -> Iterator[Shape]:
    """Draw a panel into a rectangle, its axes and heading included."""
    axes = _axes(panel, left + LEFT, top + ABOVE, width - LEFT - 8, height - ABOVE - BELOW)
    yield Label(left + LEFT, top + 18, shorten(panel.heading, width - LEFT, 13), size=13, bold=True, fill=INK)
    if axes.strip:
        yield from _smaller(panel, axes)
    yield from _levels(panel, axes)
    yield from _places(panel, axes)
    taken: list[tuple[float, float]] = []
    for curve in panel.curves:
        yield from _curve(curve, axes, taken)
    if panel.mark is not None:
        yield from _flag(*panel.mark, axes)


def _axes(panel: Panel, left: float, top: float, width: float, height: float) -> _Axes:
    known = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in panel.curves] + [np.zeros(1)])
    longest = max((_longest(curve.values) for curve in panel.curves), default=1)
    high = min(max(math.ceil(float(known.max()) - 0.3), 0), _MOST)
    low = max(min(math.floor(float(known.min())), -1), panel.lowest) if not panel.percent else panel.lowest
    strip = _STRIP if _least(panel) < low else 0
    return _Axes(left, top, width, height, panel.first, max(longest - 1, 1) + panel.first, low, high + 0.15, strip)


def _least(panel: Panel) -> float:
    known = [curve.values[~np.isnan(curve.values)] for curve in panel.curves]
    return min((float(one.min()) for one in known if one.size), default=0.0)


def _longest(values: Floats) -> int:
    known = np.flatnonzero(~np.isnan(values))
    return int(known[-1]) + 1 if known.size else 1


def _levels(panel: Panel, axes: _Axes) -> Iterator[Shape]:
    every = range(math.ceil(axes.low), math.floor(axes.high) + 1)
    step = max(1, math.ceil(len(every) / 9))
    for level in every:
        ends = panel.percent and level == _PERCENT
        if level % step and not ends:
            continue
        y = axes.y(level)
        yield Line(((axes.left, y), (axes.left + axes.width, y)), MUTED if ends else GRID, 1.4 if ends else 1, ends)
        yield Label(
            axes.left - 6, y + 4, level_text(level), size=11, anchor="end", fill=INK if ends else MUTED, bold=ends
        )


def level_text(level: int) -> str:
    """Write a power of ten as what is left: 100 %, 1 %, 1e-4, ×10."""
    if level > 0:
        return f"×{10**level}" if level < 4 else f"×1e{level}"
    return {0: "100 %", -1: "10 %", -2: "1 %", -3: "0.1 %"}.get(level, f"1e{level}")


def _places(panel: Panel, axes: _Axes) -> Iterator[Shape]:
    bottom = axes.top + axes.height
    yield Line(((axes.left, bottom), (axes.left + axes.width, bottom)), LINE, 1)
    for place in round_places(axes.first, axes.last, int(axes.width // 60)):
        anchor = "middle" if place < axes.last else "end"
        yield Label(
            min(axes.x(place), axes.left + axes.width), bottom + 15, str(place), size=11, anchor=anchor, fill=MUTED
        )
    yield Label(axes.left + axes.width / 2, bottom + 32, panel.below, size=11.5, anchor="middle", fill=MUTED)


def round_places(first: int, last: int, most: int) -> list[int]:
    """Choose both ends and round numbers between them, at most about so many, none close to an end."""
    rough = max((last - first) / max(most, 1), 1)
    unit = 10 ** math.floor(math.log10(rough))
    step = next(int(unit * one) for one in (1, 2, 5, 10) if unit * one >= rough)
    inner = [place for place in range(0, last, step) if first + step / 2 < place < last - step / 2]
    return [first, *inner, last]


def _curve(curve: Curve, axes: _Axes, taken: list[tuple[float, float]]) -> Iterator[Shape]:
    places = np.unique(np.linspace(0, len(curve.values) - 1, min(len(curve.values), _POINTS)).round().astype(int))
    points = [(axes.first + int(place), float(curve.values[place])) for place in places]
    drawn: Points = ()
    for piece in pieces(points, axes.low, axes.high):
        drawn = tuple((axes.x(place), axes.y(value)) for place, value in piece)
        if len(drawn) == 1:
            yield Box(drawn[0][0] - 2, drawn[0][1] - 2, 4, 4, curve.stroke, curve.title)
        else:
            yield Line(drawn, curve.stroke, curve.width, curve.dashed, curve.title)
    if curve.name and drawn:
        yield _named(curve, drawn, axes, taken)


def _named(curve: Curve, drawn: Points, axes: _Axes, taken: list[tuple[float, float]]) -> Label:
    """Write a curve's name behind its end where there is room, else above it, or below where another name stands."""
    x, y = drawn[-1]
    if axes.left + axes.width - x > 2 * _LETTER:
        x, y = x + 6, y - 2
        x += _LETTER if any(abs(place - x) < _LETTER and abs(other - y) < _LETTER for place, other in taken) else 0
    else:
        x -= _LETTER
        near = [other for place, other in drawn if place > x - _LETTER]
        y = min(near) - 6
        if y < axes.top + 10 or any(abs(place - x) < _LETTER and abs(other - y) < _LETTER for place, other in taken):
            y = max(near) + 16
    taken.append((x, y))
    return Label(x, y, curve.name, size=13, fill=curve.stroke, bold=True)


def pieces(points: Sequence[tuple[float, float]], low: float, high: float) -> Iterator[Points]:
    """Cut a curve where it is not known and where it leaves the axis below; above it is held to the axis."""
    piece: list[tuple[float, float]] = []
    before: tuple[float, float] | None = None
    for place, value in points:
        inside = not math.isnan(value) and value >= low
        if before is not None and not math.isnan(value) and inside != (before[1] >= low):
            piece.append((_crossing(before, (place, value), low), low))
        if inside:
            piece.append((place, min(value, high)))
        elif piece:
            yield tuple(piece)
            piece = []
        before = None if math.isnan(value) else (place, value)
    if piece:
        yield tuple(piece)


def _crossing(one: tuple[float, float], two: tuple[float, float], level: float) -> float:
    """Find where the line between two points has a level; a fall to zero is a fall straight down."""
    if not math.isfinite(one[1]) or not math.isfinite(two[1]):
        return one[0] if math.isfinite(one[1]) else two[0]
    return one[0] + (level - one[1]) / (two[1] - one[1]) * (two[0] - one[0])


def _smaller(panel: Panel, axes: _Axes) -> Iterator[Shape]:
    least = _least(panel)
    down = "exactly zero" if least == -math.inf else f"1e{least:.0f}"
    text = f"smaller than {level_text(round(axes.low))}, down to {down}"
    yield Box(axes.left, axes.y(axes.low), axes.width, _STRIP, SHADE)
    yield Label(axes.left + 6, axes.top + axes.height - 6, text, size=11, fill=MUTED)


def _flag(place: int, text: str, axes: _Axes) -> Iterator[Shape]:
    x, wide = axes.x(min(place, axes.last)), text_width(text, 11) + 12
    yield Line(((x, axes.top - 20), (x, axes.top + axes.height)), INK, 1.75)
    left = x - wide if x - wide > axes.left else x
    yield Box(left, axes.top - 22, wide, 18, INK)
    yield Label(left + wide / 2, axes.top - 9, text, size=11, anchor="middle", fill=PAPER, bold=True)
