"""The sheet: shapes and curves with positions, colours and text, ready for any renderer, and what makes them in pixels.

Lengths are pixels, y goes down. A colour is a name of `style/left.py`, which is another one in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rnngraph.graph.layout.geometry import Box, Point, path
from rnngraph.graph.layout.grid import Grid
from rnngraph.graph.layout.metrics import fit, width_of

Role = Literal["vertex", "title", "header", "row", "band", "bar", "cell", "number", "legend", "mark"]
Form = Literal["box", "rectangle", "ellipse", "text"]
Line = Literal["solid", "dashed", "dotted"]
NO_GRID = Grid({}, (), (), (), 0.0)


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
    theme: str = "light"  # one of `THEMES`


FLAG, FLAG_TEXT = 22.0, 12.5  # height and font size


def rectangle(identity: str, role: Role, left: float, top: float, width: float, height: float, **style: Any) -> Shape:
    """Give a rectangle by its upper left corner."""
    box = Box(left + width / 2, top + height / 2, width, height)
    return Shape(identity, role, style.pop("form", "rectangle"), box, **{"thickness": 0.0} | style)


def words(identity: str, role: Role, text: str, x: float, y: float, size: float, **style: Any) -> Shape:
    """Write one line in its middle `y`, aligned at `x`."""
    align, bold = style.get("align", "middle"), style.get("bold", False)
    width = width_of(text, size, bold=bold) + 4
    left = {"left": x, "middle": x - width / 2, "right": x - width}[align]
    box = Box(left + width / 2, y, width, size + 4)
    return Shape(identity, role, "text", box, text, size=size, **{"ink": "ink"} | style)


def paragraph(
    identity: str, role: Role, lines: Sequence[str], x: float, top: float, step: float, size: float, **style: Any
) -> Shape:
    """Write lines below each other, from `top` downwards."""
    wide = max(width_of(line, size, bold=style.get("bold", False)) for line in lines) + 4
    high = step * len(lines)
    box = Box(x + wide / 2, top + high / 2, wide, high)
    return Shape(identity, role, "text", box, "\n".join(lines), size=size, align="left", leading=step / size,
                 **{"ink": "ink"} | style)  # fmt: skip


def flag(identity: str, text: str, left: float, top: float, width: float) -> list[Shape]:
    """Write a mark on ink."""
    shown, style = fit(text, width - 8, FLAG_TEXT, bold=True), {"ink": "paper", "bold": True, "hint": text}
    return [
        rectangle(identity, "mark", left, top, width, FLAG, fill="ink", stroke="ink", form="box", thickness=0.5),
        words(f"{identity}t", "mark", shown, left + width / 2, top + FLAG / 2, FLAG_TEXT, **style),
    ]


def rule(identity: str, points: Sequence[Point], stroke: str, **style: Any) -> Curve:
    """Draw a line."""
    return Curve(identity, "line", "", "", path(points), stroke, head="none", **style)
