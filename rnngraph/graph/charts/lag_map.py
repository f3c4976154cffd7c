"""The lag map: which step feels which loss, a cell a pair in the colour of what is left, the last loss on top.

In: a `LagRow` and a place on a paper. Out: shapes and curves on the paper, and how tall they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from rnngraph.diagnosis.sentences import share_text
from rnngraph.graph.charts.axes import HEAD
from rnngraph.graph.charts.lag_rows import LagRow, middle
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.paper import SMALL, TEXT, Paper
from rnngraph.graph.sheet import Shape, rectangle, rule, words
from rnngraph.graph.sizes import ticks
from rnngraph.graph.steps import spans_of
from rnngraph.graph.style.left import tone
from rnngraph.trace.magnitudes import Integers

_AXIS = 34.0  # left of the map
_LEAST = 4.0  # pixels of a cell; where there are more steps, a cell is the middle one of several
_TALLEST = 372.0


class LagMap:
    """A map with its axes; `left` and `top` are those of the heading."""

    def __init__(self, paper: Paper, row: LagRow, *, left: float, top: float, width: float, number: int) -> None:
        """Choose the sizes of cells."""
        self.paper, self.row, self.number = paper, row, number
        room = width - _AXIS - 8
        self.columns = spans_of(row.timesteps, int(room / _LEAST))
        first, last = int(row.losses[0]), int(row.losses[-1])
        self.span = range(first, last + 1)
        self.lines = spans_of(len(self.span), int(_TALLEST / _LEAST))
        self.cell = max(math.floor(room / len(self.columns)), 1)
        self.tall = min(self.cell, max(math.floor(_TALLEST / len(self.lines)), 1))
        self.left, self.top = left + _AXIS, top + HEAD
        self.right = self.left + self.cell * len(self.columns)
        self.bottom = self.top + self.tall * len(self.lines)

    def draw(self, heading: str, outlined: int) -> float:
        """Draw everything; give the height that was taken."""
        paper, name, left = self.paper, f"m{self.number}", self.left - _AXIS
        paper.heading(f"{name}h", heading, left, self.top - HEAD + 6, self.right - left)
        paper.shapes.append(words(f"{name}ylabel", "legend", "loss at step", left, self.top - 12, SMALL, ink="muted",
                                  align="left"))  # fmt: skip
        paper.shapes += self._cells()
        self._coast(self.row.last, "1 %")
        self._coast(self.row.grown, "×100")
        self._outline(outlined)
        self._axes()
        return self.bottom + 38 - (self.top - HEAD)

    def _x(self, t: float) -> float:
        """Give where a timestep begins."""
        return self.left + (self.right - self.left) * t / self.row.timesteps

    def _line_of(self, t: int) -> int:
        place = t - self.span.start
        return next(number for number, (start, stop) in enumerate(self.lines) if start <= place < stop)

    def _y(self, line: int) -> float:
        """Give the upper edge of a line, of which the last stands on top."""
        return self.bottom - self.tall * (line + 1)

    def _nearest(self) -> list[Integers]:
        """Give the losses that each line stands for: those in it, or the nearest one where none is."""
        found = []
        for start, stop in self.lines:
            own = (self.row.losses >= self.span.start + start) & (self.row.losses < self.span.start + stop)
            centre = self.span.start + (start + stop - 1) / 2
            found.append(np.flatnonzero(own) if own.any() else np.abs(self.row.losses - centre).argmin(keepdims=True))
        return found

    def _cells(self) -> Iterator[Shape]:
        for line, losses in enumerate(self._nearest()):
            values = [middle(self.row.matrix[losses][:, start:stop]) for start, stop in self.columns]
            tones = ["" if math.isnan(value) else tone(value).name for value in values]
            place = 0
            for name, group in groupby(tones):
                count = len(list(group))
                if name:
                    yield self._cell(line, losses, place, count, values[place : place + count], name)
                place += count

    def _cell(self, line: int, losses: Integers, place: int, count: int, values: Sequence[float], fill: str) -> Shape:
        first, last = self.columns[place][0], self.columns[place + count - 1][1] - 1
        steps = f"t={first}" if first == last else f"t={first} to {last}"
        texts = list(dict.fromkeys(share_text(one) for one in (values[0], values[-1])))
        loss = int(self.row.losses[losses[len(losses) // 2]])
        return rectangle(
            f"m{self.number}c{line}x{place}", "cell", self.left + self.cell * place, self._y(line), self.cell * count,
            self.tall, fill=fill, hint=f"loss at t={loss}: {' to '.join(texts)} left at {steps}",
        )  # fmt: skip

    def _coast(self, ends: Integers, name: str) -> None:
        """Draw the line behind which a loss is not felt, over the losses that have one."""
        points: list[tuple[float, float]] = []
        for line, losses in enumerate(self._nearest()):
            known = ends[losses][ends[losses] >= 0]
            if not known.size:
                continue
            t = int(np.sort(known)[len(known) // 2])
            x = self._x(t + 1 if self.row.reverse else t)
            if x not in (self.left, self.right):  # there it is the edge of all that was walked
                points += [(x, self._y(line) + self.tall), (x, self._y(line))]
        if not points:
            return
        label = f"m{self.number}coast{name.strip('× %')}"
        self.paper.curves.append(rule(label, points, "ink", thickness=1.75))
        self._name_coast(label, name, points)

    def _name_coast(self, label: str, name: str, points: Sequence[tuple[float, float]]) -> None:
        """Name a coast line beside it, near its middle, where there is room."""
        text = f"{name} left: credit ends" if name == "1 %" else name
        room, reverse = width_of(text, TEXT, bold=True) + 10, self.row.reverse
        known = [(x, y) for x, y in points if (self.right - x if reverse else x - self.left) > room]
        if known:
            x, y = min(known, key=lambda point: abs(point[1] - (self.top + self.bottom) / 2))
            # Beyond the line: on its upper left, or where time is walked forwards on its lower right.
            at, high, side = (x + 6, y + 10, "left") if reverse else (x - 6, y - 8, "right")
            self.paper.shapes.append(words(f"{label}t", "mark", text, at, high, TEXT, bold=True, align=side, halo=True))

    def _outline(self, timestep: int) -> None:
        if timestep in self.span:
            y, wide = self._y(self._line_of(timestep)), self.right - self.left
            name, hint = f"m{self.number}o", f"the loss at t={timestep}"
            around = self.left - 1, y - 1, wide + 2, self.tall + 2
            self.paper.shapes.append(rectangle(name, "mark", *around, stroke="ink", thickness=1.5, hint=hint))

    def _axes(self) -> None:
        shapes, name = self.paper.shapes, f"m{self.number}"
        corner = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)]
        self.paper.curves.append(rule(f"{name}axis", corner, "rule"))
        style = {"ink": "muted"}
        for t in ticks(range(self.row.timesteps), self.right - self.left):
            x = self._x(t + 0.5)
            shapes.append(words(f"{name}x{t}", "legend", str(t), x, self.bottom + 10, SMALL, **style))
        for t in ticks(self.span, self.bottom - self.top, apart=40):
            y = self._y(self._line_of(t)) + self.tall / 2
            shapes.append(words(f"{name}y{t}", "legend", str(t), self.left - 6, y, SMALL, align="right", **style))
        middle_x = (self.left + self.right) / 2
        shapes.append(
            words(f"{name}xlabel", "legend", "step it is felt at", middle_x, self.bottom + 27, SMALL, **style)
        )
