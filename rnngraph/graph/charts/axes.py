"""The axes of what is left: decades upwards, lags or steps to the right, and the curves and flags that stand on them.

In: a place on a paper and the values of the curves. Out: shapes and curves on the paper. What is smaller than the axis
has is shaded, and named in words; an exact zero is there too. A curve breaks where nothing was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from rnngraph.diagnosis.sentences import share_text
from rnngraph.graph.layout.geometry import Point
from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.paper import SMALL, Paper
from rnngraph.graph.sheet import FLAG, FLAG_TEXT, flag, rectangle, rule, words
from rnngraph.graph.sizes import ticks
from rnngraph.graph.steps import evenly
from rnngraph.graph.style.left import MARK, ends_of, level_text
from rnngraph.trace.magnitudes import Floats

HEAD = 40.0  # from the heading of a panel to its axes, whose names stand in between
AXIS = 46.0  # room for the names of levels
UNDER = 38.0  # room for those of places, and for what they are
_BELOW = 24.0  # of what is smaller than the scale
_APART = 17.0  # pixels of two levels
_MOST = 200  # places that are drawn


class Axes:
    """A rectangle of the paper in which decades go up and places to the right, as far as some curves need them.

    With a `lowest` decade it is not credit that is drawn, which ends at 1 %.
    """

    def __init__(
        self, paper: Paper, name: str, places: range, values: Sequence[Floats], *, left: float, top: float,
        width: float, height: float, lowest: float | None = None,
    ) -> None:  # fmt: skip
        """Choose the ends of both axes; entry 0 of every curve's values is the first place."""
        self.paper, self.name, self.places, self.lowest = paper, name, places, lowest
        self.left, self.right, self.top, self.foot = left, left + width, top, top + height
        every = np.concatenate([*values, np.zeros(1)])
        self.low, high = ends_of(every, lowest)
        # Where nothing grows by much, what there is more than 100 % still needs its room.
        self.high = high or float(every[np.isfinite(every)].max())
        self.least = float(np.nanmin(every))
        self.at = next((places[0] + int(np.nanargmin(one)) for one in values if self.least in one), places[0])
        self.bottom = self.foot - (_BELOW if self.least < self.low else 0)

    def x(self, place: float) -> float:
        """Give where a place is."""
        return self.left + (self.right - self.left) * (place - self.places[0]) / max(len(self.places) - 1, 1)

    def y(self, decades: float) -> float:
        """Give where a level is; what is beyond the ends is held to them."""
        share = (self.high - min(max(decades, self.low), self.high)) / (self.high - self.low)
        return self.top + share * (self.bottom - self.top)

    def grid(self, below: str) -> None:
        """Draw levels and places, what the places are, 1 % as a mark, and in words what is smaller than all."""
        shapes, pitch = self.paper.shapes, (self.bottom - self.top) / (self.high - self.low)
        if self.bottom < self.foot:
            self._smaller()
        step, mark = max(1, math.ceil(_APART / pitch)), MARK if self.lowest is None else math.inf
        for level in range(math.ceil(self.low), math.floor(self.high) + 1):
            if level == mark or (level % step == 0 and abs(level - mark) * pitch > 0.7 * _APART):
                self._level(level, marked=level == mark)
        for place in ticks(self.places, self.right - self.left):
            shapes.append(
                words(f"{self.name}x{place}", "legend", str(place), self.x(place), self.foot + 10, SMALL, ink="muted")
            )
        middle = (self.left + self.right) / 2
        shapes.append(words(f"{self.name}xlabel", "legend", below, middle, self.foot + 27, SMALL, ink="muted"))

    def _smaller(self) -> None:
        tall, wide = self.foot - self.bottom, self.right - self.left
        text = f"smaller than {share_text(self.low)}, down to {share_text(self.least)}"
        text = fit(text + ("" if self.lowest is not None else f" at lag {self.at}"), wide - 8, SMALL)
        self.paper.shapes += [
            rectangle(f"{self.name}less", "bar", self.left, self.bottom, wide, tall, fill="fold"),
            words(f"{self.name}lesst", "legend", text, self.right - 4, self.bottom + tall / 2, SMALL, ink="muted",
                  align="right"),
        ]  # fmt: skip

    def _level(self, level: int, *, marked: bool) -> None:
        name, y = f"{self.name}y{level}".replace("-", "u"), self.y(level)
        line: dict[str, Any] = {"line": "dashed", "thickness": 1.25} if marked else {}
        self.paper.curves.append(rule(name, [(self.left, y), (self.right, y)], "muted" if marked else "rule", **line))
        self.paper.shapes.append(words(name, "legend", level_text(level), self.left - 6, y, SMALL, align="right",
                                       ink="ink" if marked else "muted", bold=marked))  # fmt: skip

    def curve(self, values: Floats, stroke: str | Callable[[float], str], **style: Any) -> Sequence[Point]:
        """Draw decades from the first place on, in one colour or a piece a colour; give the last piece's corners."""
        points = [(self.places[0] + place, float(values[place])) for place in evenly(len(values), _MOST)]
        corners: list[Point] = []

        def colour(decades: float) -> str:
            return stroke if isinstance(stroke, str) else stroke(decades)

        for piece in pieces(points, self.low, self.high):
            if len(piece) == 1:
                self.dot(*piece[0], colour(piece[0][1]), hint=style.get("hint", ""))
            corners = [(self.x(place), self.y(value)) for place, value in piece]
            drawn = zip(pairwise(corners), (colour(value) for _, value in piece[1:]), strict=True)
            for paint, found in groupby(drawn, key=lambda one: one[1]):
                pairs = [pair for pair, _ in found]
                name, way = f"{self.name}l{len(self.paper.curves)}", [pairs[0][0], *(two for _, two in pairs)]
                self.paper.curves.append(rule(name, way, paint, **{"thickness": 2.0} | style))
        return corners

    def dot(self, place: float, decades: float, fill: str, *, hint: str) -> None:
        """Draw a dot."""
        x, y = self.x(place), self.y(decades)
        name = f"{self.name}d{len(self.paper.shapes)}"
        self.paper.shapes.append(rectangle(name, "bar", x - 3, y - 3, 6, 6, form="ellipse", fill=fill, stroke="line",
                                           thickness=0.75, hint=hint))  # fmt: skip

    def band(self, low: Floats, high: Floats, fill: str) -> None:
        """Fill what lies between two curves."""
        chosen = evenly(len(low), _MOST)
        wide = (self.right - self.left) / max(len(chosen), 1)
        for place in chosen:
            if math.isnan(low[place]) or math.isnan(high[place]) or high[place] < self.low:
                continue
            x, top, bottom = self.x(self.places[0] + place), self.y(high[place]), self.y(low[place])
            left, right = max(x - wide / 2, self.left), min(x + wide / 2, self.right)
            if bottom - top > 1:
                self.paper.shapes.append(
                    rectangle(f"{self.name}b{place}", "bar", left, top, right - left, bottom - top, fill=fill)
                )

    def flag(self, place: float, texts: Sequence[str], *, above: bool = False, over: bool = False) -> None:
        """Mark a place with the first of the texts that has room beside its line, else with the last.

        It stands above the axes; or, where a curve falls, on top behind the place and below before it; or below, where
        one rises, `over` both sides.
        """
        x = self.x(place)
        room = self.right - self.left if over else max(self.right - x, x - self.left)
        text = next((one for one in texts[:-1] if width_of(one, FLAG_TEXT, bold=True) + 16 <= room), texts[-1])
        width = width_of(text, FLAG_TEXT, bold=True) + 16
        behind = x + width <= self.right
        left = x if behind else max(x - width, self.left - (0 if over else AXIS))
        top = self.top - FLAG - 4 if above else self.top - 1 if behind and not over else self.bottom - FLAG - 4
        line = [(x, min(top, self.top)), (x, top if over else self.bottom)]
        self.paper.curves.append(rule(f"{self.name}fl", line, "ink", thickness=1.75))
        self.paper.shapes += flag(f"{self.name}f", text, left, top, width)


def pieces(points: Sequence[Point], low: float, high: float) -> Iterator[Sequence[Point]]:
    """Cut a curve where it is not known and where it leaves the axis below; above it is held to the axis."""
    piece: list[Point] = []
    before: Point | None = None
    for place, value in points:
        inside = not math.isnan(value) and value >= low
        if before is not None and not math.isnan(value) and inside != (before[1] >= low):
            piece.append((_crossing(before, (place, value), low), low))
        if inside:
            piece.append((place, min(value, high)))
        elif piece:
            yield piece
            piece = []
        before = None if math.isnan(value) else (place, value)
    if piece:
        yield piece


def _crossing(one: Point, two: Point, level: float) -> float:
    """Find where the line between two points has a level; a fall to zero is a fall straight down."""
    if not math.isfinite(one[1]) or not math.isfinite(two[1]):
        return one[0] if math.isfinite(one[1]) else two[0]
    return one[0] + (level - one[1]) / (two[1] - one[1]) * (two[0] - one[0])
