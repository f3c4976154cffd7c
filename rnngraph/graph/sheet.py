"""The sheet: shapes and curves with positions, colours and text, ready for any renderer.

Lengths are points (1/72 inch), the origin is at the lower left of the first box and y goes up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnngraph.graph.layout.geometry import Box, Point
from rnngraph.graph.layout.grid import Grid

Role = Literal["vertex", "title", "header", "row", "band", "bar", "cell", "number", "legend"]
Form = Literal["box", "rectangle", "ellipse", "text"]
Line = Literal["solid", "dashed", "dotted"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A box, ellipse or text. `subject` is the vertex, or the name of the band, that it belongs to."""

    id: str
    role: Role
    form: Form
    box: Box
    text: str = ""
    fill: str = ""  # "" for none
    stroke: str = ""
    line: Line = "solid"
    thickness: float = 1.0
    ink: str = "#1f2937"
    size: float = 10.0
    bold: bool = False
    align: Literal["left", "middle", "right"] = "middle"
    subject: str = ""
    hint: str = ""  # shown when the pointer rests on it
    column: int = -1


@dataclass(frozen=True, slots=True)
class Curve:
    """An arrow along `3k + 1` Bézier points, from tail to tip."""

    id: str
    kind: Literal["forward", "recurrent", "backward"]
    source: str
    target: str
    points: tuple[Point, ...]
    stroke: str
    thickness: float = 1.0
    line: Line = "solid"
    head: Literal["filled", "hollow"] = "filled"
    text: str = ""
    text_at: Point = (0.0, 0.0)
    ink: str = "#1f2937"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that is drawn, the rectangle that holds it, and the grid on which the boxes stand."""

    shapes: tuple[Shape, ...]
    curves: tuple[Curve, ...]
    frame: Box
    grid: Grid
