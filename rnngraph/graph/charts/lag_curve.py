"""The lag curve: how much is left by lag, the middle of all losses and a band from 10 to 90 % of them.

In: a `LagRow` and a place on a paper. Out: shapes and curves on the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby, pairwise

import numpy as np

from rnngraph.diagnosis.sentences import share_text
from rnngraph.graph.charts.frame import SMALL, Paper, ticks
from rnngraph.graph.charts.lag_rows import LagRow
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.one_loss.pen import rectangle, rule, words
from rnngraph.graph.sheet import Shape
from rnngraph.graph.style.left import FLOOR, GROWTH, MARK, tone
from rnngraph.trace.magnitudes import Floats, Integers

_AXIS = 46.0
_BELOW = 24.0  # of what is smaller than the scale
_MOST = 120  # lags that are drawn
_DOTS = 70
_FLAG = 21.0
_TICKS = {2: "×100", 1: "×10", 0: "100 %", -1: "10 %", -2: "1 %", -3: "0.1 %"}


class LagCurve:
    """A curve with its axes; `left` and `top` are those of the heading."""

    def __init__(
        self, paper: Paper, row: LagRow, *, left: float, top: float, width: float, height: float, number: int
    ) -> None:
        """Choose the scale."""
        self.paper, self.row, self.number = paper, row, number
        known = row.quantiles[np.isfinite(row.quantiles)]
        highest = float(known.max()) if known.size else 0.0
        self.high = 0.0 if highest < GROWTH else math.ceil(highest)
        self.low = FLOOR if not self.high or not known.size or known.min() < -2 else min(-1.0, math.floor(known.min()))
        self.smaller = bool((row.median < self.low).any())
        self.left, self.right, self.top = left + _AXIS, left + width - 10, top + 26
        self.bottom = self.top + height - (_BELOW if self.smaller else 0)
        self.lags: Integers = np.unique(
            np.linspace(0, len(row.median) - 1, min(len(row.median), _MOST)).round().astype(int)
        )

    def draw(self, heading: str) -> None:
        """Draw everything."""
        name = f"c{self.number}"
        self.paper.heading(f"{name}h", heading, self.left - _AXIS, self.top - 20, self.right - self.left + _AXIS)
        self._grid()
        self.paper.shapes += self._band()
        self._line()
        self._flag()

    def _x(self, lag: float) -> float:
        return self.left + (self.right - self.left) * lag / max(len(self.row.median) - 1, 1)

    def _y(self, decades: float) -> float:
        share = (self.high - min(max(decades, self.low), self.high)) / (self.high - self.low)
        return self.top + share * (self.bottom - self.top)

    def _grid(self) -> None:
        shapes, curves, name = self.paper.shapes, self.paper.curves, f"c{self.number}"
        if self.smaller:
            shapes.append(
                rectangle(f"{name}less", "bar", self.left, self.bottom, self.right - self.left, _BELOW, fill="fold")
            )
        step = max(1, math.ceil((self.high - self.low) / 10))
        for level in range(int(self.low), int(self.high) + 1):
            mark = level == MARK
            if level % step and not mark:
                continue
            y = self._y(level)
            ends = [(self.left, y), (self.right, y)]
            line = {"line": "dashed", "thickness": 1.25} if mark else {"thickness": 1.0}
            curves.append(rule(f"{name}g{-level}".replace("-", "u"), ends, "muted" if mark else "rule", **line))
            text = _TICKS.get(level) or (f"×1e{level}" if level > 0 else f"1e{level}")
            ink = {"ink": "ink", "bold": True} if mark else {"ink": "muted"}
            shapes.append(
                words(
                    f"{name}y{level}".replace("-", "u"), "legend", text, self.left - 6, y, SMALL, align="right", **ink
                )
            )
        floor = self.bottom + (_BELOW if self.smaller else 0)
        for lag in ticks(len(self.row.median), self.right - self.left):
            shapes.append(words(f"{name}x{lag}", "legend", str(lag), self._x(lag), floor + 10, SMALL, ink="muted"))
        middle = (self.left + self.right) / 2
        shapes.append(
            words(f"{name}xlabel", "legend", "lag: steps back from the loss", middle, floor + 27, SMALL, ink="muted")
        )
        if self.smaller:
            shapes.append(self._words_below(self.row.median))

    def _words_below(self, median: Floats) -> Shape:
        """Say in words how little is left below the scale."""
        lag = int(np.flatnonzero(~np.isnan(median))[-1])
        text = f"smaller than {share_text(float(self.low))}"
        if median[lag] < self.low:
            text += f", down to {share_text(float(median[lag]))} at lag {lag}"
        return words(f"c{self.number}lesst", "legend", text, self.right - 4, self.bottom + _BELOW / 2, SMALL,
                     ink="muted", align="right")  # fmt: skip

    def _band(self) -> Iterator[Shape]:
        wide = (self.right - self.left) / max(len(self.lags), 1)
        for lag in self.lags.tolist():
            low, high = float(self.row.quantiles[0, lag]), float(self.row.quantiles[2, lag])
            if math.isnan(low) or math.isnan(high) or high < self.low:
                continue
            left, right = max(self._x(lag) - wide / 2, self.left), min(self._x(lag) + wide / 2, self.right)
            top, bottom = self._y(high), self._y(low)
            if bottom - top > 1:
                yield rectangle(f"c{self.number}b{lag}", "bar", left, top, right - left, bottom - top, fill="k4")

    def _line(self) -> None:
        """Draw the middle, a piece a colour, down to where it leaves the scale."""
        median, pieces = self.row.median, groupby(pairwise(self.lags.tolist()), key=self._stroke)
        for number, (stroke, pairs) in enumerate(pieces):
            corners: list[tuple[float, float]] = []
            for first, second in pairs:
                ends = float(median[first]), float(median[second])
                part = 1.0 if ends[1] >= self.low else (ends[0] - self.low) / (ends[0] - max(ends[1], -400.0))
                at = self._x(first) + part * (self._x(second) - self._x(first))
                corners += [*([] if corners else [(self._x(first), self._y(ends[0]))]), (at, self._y(ends[1]))]
            if stroke:
                self.paper.curves.append(rule(f"c{self.number}l{number}", corners, stroke, thickness=2.0))
        if len(self.lags) <= _DOTS:
            for lag in self.lags.tolist():
                value = float(median[lag])
                if value >= self.low:
                    self.paper.shapes.append(self._dot(lag, value))

    def _stroke(self, pair: tuple[int, int]) -> str:
        """Choose the colour between two lags; none where one is not known, or nothing of it is on the scale."""
        first, second = (float(self.row.median[lag]) for lag in pair)
        if math.isnan(first) or math.isnan(second) or max(first, second) < self.low:
            return ""
        return tone(second).name if second >= MARK else "line"

    def _dot(self, lag: int, value: float) -> Shape:
        x, y = self._x(lag), self._y(value)
        return rectangle(f"c{self.number}d{lag}", "bar", x - 3, y - 3, 6, 6, form="ellipse", fill=tone(value).name,
                         stroke="line", thickness=0.75, hint=f"lag {lag}: {share_text(value)} left")  # fmt: skip

    def _flag(self) -> None:
        """Mark where credit ends, or where it is ×100: of the one loss, or of the middle one of many."""
        grown, end, losses = self.row.explodes, self.row.end, self.row.losses
        lag, event = (grown, "×100 at") if grown is not None else (end, "credit ends at")
        if lag is None:
            return
        name, x = f"c{self.number}f", self._x(lag + (0.5 if grown is None else 0))
        whose = "middle loss" if len(losses) > 1 else f"loss at t={losses[0]}"
        # One that grew stands below its curve, where it may reach over its line.
        room = self.right - self.left if grown is not None else max(self.right - x, x - self.left)
        said = (f"{whose}: {event} lag {lag}", f"{whose}: {event.removeprefix('credit ')} lag {lag}")
        text = next((one for one in said if width_of(one, 12, bold=True) + 16 <= room), f"lag {lag}")
        width = width_of(text, 12, bold=True) + 16
        left = x if x + width <= self.right else max(x - width, self.left - _AXIS)
        floor = self.bottom + (_BELOW if self.smaller else 0)
        self.paper.curves.append(rule(f"{name}l", [(x, self.top), (x, floor)], "ink", thickness=1.75))
        top = self.top - 1 if grown is None else self.bottom - _FLAG - 4
        self.paper.shapes.append(
            rectangle(f"{name}", "mark", left, top, width, _FLAG, form="box", fill="ink", stroke="ink", thickness=0.5)
        )
        self.paper.shapes.append(
            words(f"{name}t", "mark", text, left + width / 2, top + _FLAG / 2, 12, ink="paper", bold=True)
        )
