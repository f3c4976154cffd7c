"""The key of every picture: a swatch and what it means, behind each other as long as there is room.

In: swatches and a place. Out: shapes, curves, and where the last one ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rnngraph.graph.layout.geometry import Point, one_line
from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.sheet import Curve, Line, Shape, rectangle, rule, words
from rnngraph.graph.style.left import MARK

SIZE, LINE = 11.0, 18.0  # of the text; from line to line
_WIDE, _AWAY = 20.0, 14.0  # of a swatch; from one to the next


@dataclass(frozen=True, slots=True)
class Swatch:
    """What a colour, a line, a circle or a meter means."""

    text: str
    fill: str = "paper"
    form: Literal["box", "rule", "ellipse", "meter"] = "box"
    stroke: str = "line"
    line: Line = "solid"
    thickness: float = 0.6


def draw_key(
    swatches: Sequence[Swatch], at: Point, *, left: float, right: float
) -> tuple[list[Shape], list[Curve], Point]:
    """Draw swatches from a place to the right, and from `left` on in the lines below it."""
    shapes: list[Shape] = []
    curves: list[Curve] = []
    x, y = at
    for number, one in enumerate(swatches):
        text, name = one_line(one.text), f"key{number}"
        wide = _WIDE + 5 + width_of(text, SIZE)
        if x + wide > right and x > left:
            x, y = left, y + LINE
        if one.form == "rule":
            style = {"line": one.line, "thickness": one.thickness}
            curves.append(rule(name, [(x, y), (x + _WIDE, y)], one.stroke, **style))
        else:
            shapes += _swatch(name, one, x, y)
        shown = fit(text, right - x - _WIDE - 5, SIZE)
        shapes.append(words(f"{name}t", "legend", shown, x + _WIDE + 5, y, SIZE, ink="muted", align="left"))
        x += wide + _AWAY
    return shapes, curves, (x, y)


def _swatch(name: str, one: Swatch, x: float, y: float) -> Iterator[Shape]:
    left, wide, high = {"ellipse": (x + 4, 12.0, 12.0), "meter": (x, _WIDE, 4.0)}.get(one.form, (x, _WIDE, 10.0))
    form = "rectangle" if one.form == "meter" else one.form
    yield rectangle(name, "legend", left, y - high / 2, wide, high, form=form, fill=one.fill, stroke=one.stroke,
                    thickness=one.thickness, line=one.line)  # fmt: skip
    if one.form == "meter":
        yield rectangle(f"{name}p", "legend", x, y - high / 2, 0.65 * _WIDE, high, fill="ink")


def shades(low: float, high: float, floor: float, *, short: bool = False) -> Iterator[Swatch]:
    """Name the steps of the scale of what is left that lie between two decades, and how far those of growth go."""
    yield Swatch("×1" if high > 0 else "100 %", "k12")
    grown = (("g0", "to ×10", 0.5), ("g1", "to ×100", 1), ("g2", "to ×1e4", 2), ("g3", "more", 4))
    yield from (Swatch(text, fill) for fill, text, decades in grown if high > decades)
    lost = (("k10", "10 %", -1), ("k8", "1 %", MARK), ("k4", "1e-4", -4))
    yield from (Swatch(text, fill) for fill, text, decades in lost
                if low <= decades > floor and not (short and decades == -1))  # fmt: skip
    if low <= floor:
        yield Swatch(f"{10**floor:.0e} or less".replace("e-0", "e-"), "k0")
