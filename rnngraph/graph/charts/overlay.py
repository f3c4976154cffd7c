"""Curves over each other, a panel of axes for each thing that was measured, as many beside each other as have room.

In: panels. Out: shapes and curves on a paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.graph.charts.axes import AXIS, UNDER, Axes
from rnngraph.graph.layout.geometry import Point
from rnngraph.graph.paper import Paper
from rnngraph.graph.sheet import words
from rnngraph.graph.style.left import FLOOR
from rnngraph.trace.magnitudes import Floats

_HEIGHT, _ABOVE, _GAP = 200.0, 48.0, 20.0
_MOST = 8.0  # decades of growth: what grew more must not press all others together
_LETTER = 13.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Decades by place; entry 0 is the first place of the panel. `name` stands at its end."""

    values: Floats
    stroke: str
    style: dict[str, Any]  # of the line
    name: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves of one thing, as far as one of them is on the scale.

    `flag` is a place that they come to and what is written there, `lowest` the least decade of other axes.
    """

    heading: str
    curves: tuple[Curve, ...]
    below: str  # what the places are
    first: int = 1
    flag: tuple[int, str] | None = None
    lowest: float | None = None  # None for credit, which ends at 1 %


def credit_panel(name: str, curves: Sequence[Curve], *, at_input: bool, horizon: int) -> Panel:
    """Make the panel of what is left at one place, with a flag at the lag that it is judged at; 0 for none."""
    heading = f"{'at the input: ' if at_input else 'in the states of '}{name}"
    flag = (horizon, f"judged at lag {horizon}") if horizon else None
    return Panel(heading, tuple(curves), "lag: steps back from the loss", flag=flag)


def draw_panels(paper: Paper, panels: Sequence[Panel]) -> None:
    """Draw every panel, from where the paper has come to."""
    paper.y += 10
    columns = 2 if paper.wide and len(panels) > 1 else 1
    wide, tall = (paper.inner - (columns - 1) * _GAP) / columns, _ABOVE + _HEIGHT + UNDER + _GAP
    for number, panel in enumerate(panels):
        left, top = paper.margin + number % columns * (wide + _GAP), paper.y + number // columns * tall
        _draw(paper, panel, f"p{number}", left, top, wide)
    paper.y += -(-len(panels) // columns) * tall


def _draw(paper: Paper, panel: Panel, name: str, left: float, top: float, width: float) -> None:
    low = FLOOR if panel.lowest is None else panel.lowest
    last = max((_last(curve.values, low) for curve in panel.curves), default=1)
    values, places = [np.minimum(curve.values, _MOST) for curve in panel.curves], range(panel.first, panel.first + last)
    axes = Axes(paper, name, places, values, left=left + AXIS, top=top + _ABOVE, width=width - AXIS - 10,
                height=_HEIGHT, lowest=panel.lowest)  # fmt: skip
    paper.heading(f"{name}h", panel.heading, left, top + 10, width)
    axes.grid(panel.below)
    taken: list[Point] = []
    for curve in panel.curves:
        corners = axes.curve(curve.values[:last], curve.stroke, **curve.style)
        if curve.name and corners:
            x, y = _end(corners, axes, taken)
            taken.append((x, y))
            paper.shapes.append(words(f"{name}n{len(taken)}", "number", curve.name, x, y, _LETTER, bold=True,
                                      ink=curve.stroke, halo=True))  # fmt: skip
    if panel.flag is not None and panel.flag[0] in places:
        axes.flag(panel.flag[0], panel.flag[1:], above=True)


def _last(values: Floats, low: float) -> int:
    """Count the places up to the first from which on a curve stays under its scale, or is not known."""
    seen = np.flatnonzero(values >= low)
    return min(int(seen[-1]) + 2, len(values)) if seen.size else 1


def _end(corners: Sequence[Point], axes: Axes, taken: Sequence[Point]) -> Point:
    """Find room for a name: behind the end of its curve, else above it, or below where another name stands."""

    def is_taken(x: float, y: float) -> bool:
        return any(abs(one - x) < _LETTER and abs(other - y) < _LETTER for one, other in taken)

    x, y = corners[-1]
    if axes.right - x > 3 * _LETTER:
        return max([x + 11, *(one + _LETTER for one, other in taken if is_taken(x + 11, y - 6))]), y - 6
    x -= 0.7 * _LETTER
    near = [other for place, other in corners if place > x - _LETTER]
    places = [(x - away * _LETTER, y) for away in range(4) for y in (min(near) - 11, max(near) + 11)]
    return next((one for one in places if one[1] >= axes.top + 5 and not is_taken(*one)), places[1])
