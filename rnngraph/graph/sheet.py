"""The sheet: shapes and curves with positions, colours and text, ready for any renderer.

Lengths are points (1/72 inch) or pixels, as the sheet says; y goes up. A colour is a name of `style/left.py`, which is
another one in dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnngraph.graph.layout.geometry import Box, Point
from rnngraph.graph.layout.grid import Grid

Role = Literal["vertex", "title", "header", "row", "band", "bar", "cell", "number", "legend", "mark"]
Form = Literal["box", "rectangle", "ellipse", "text"]
Line = Literal["solid", "dashed", "dotted"]
Theme = Literal["light", "dark", "auto"]


NO_GRID = Grid({}, (), (), ())


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
    ink: str = "ink"
    size: float = 10.0
    bold: bool = False
    align: Literal["left", "middle", "right"] = "middle"
    subject: str = ""
    hint: str = ""  # shown when the pointer rests on it
    column: int = -1
    halo: bool = False  # paper around the text, which stands over lines
    leading: float = 1.2  # from line to line, in font sizes; Graphviz always takes 1.2


@dataclass(frozen=True, slots=True)
class Curve:
    """An arrow along `3k + 1` Bézier points, from tail to tip; a line where it has no head."""

    id: str
    kind: Literal["forward", "recurrent", "backward", "line"]
    source: str
    target: str
    points: tuple[Point, ...]
    stroke: str
    thickness: float = 1.0
    line: Line = "solid"
    head: Literal["filled", "hollow", "none"] = "filled"
    text: str = ""
    text_at: Point = (0.0, 0.0)
    ink: str = "ink"
    hint: str = ""
    head_length: float = 6.0
    text_size: float = 10.5
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that is drawn, the rectangle that holds it, and the grid on which the boxes stand."""

    shapes: tuple[Shape, ...]
    curves: tuple[Curve, ...]
    frame: Box
    grid: Grid = NO_GRID
    title: str = ""  # what a screen reader says
    description: str = ""
    unit: Literal["pt", "px"] = "pt"
    theme: Theme = "light"
