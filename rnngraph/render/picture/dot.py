"""Write a sheet as DOT text in which every position is pinned: Graphviz only draws it (engine `nop2`, `neato -n2`).

Its y goes up. Text is escaped so that no label is read as HTML, as an escape or as a port.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.graph.layout.geometry import Point, one_line
from rnngraph.graph.layout.metrics import ELLIPSIS
from rnngraph.graph.sheet import Curve, Shape, Sheet
from rnngraph.graph.style.left import colour
from rnngraph.render.picture.svg import plain

FONT = "Arial,Liberation Sans,Helvetica"  # what a program finds first has the same widths
LONGEST_STRING = 3000  # characters, of at most five bytes each once they are escaped
_JUSTIFY = {"left": "\\l", "middle": "\\n", "right": "\\r"}
_FORMS = {"box": "box", "rectangle": "box", "ellipse": "ellipse", "text": "plaintext"}


def dot(sheet: Sheet) -> str:
    """Return a sheet as DOT text."""
    return "\n".join(_lines(sheet)) + "\n"


def quote(text: str, newline: str = "\\n") -> str:
    """Quote a text as a DOT string that shows exactly `text`, with its line breaks as `newline`.

    Graphviz reads no string over 16,384 bytes, so a longer text, which only a tooltip is, ends in an ellipsis.
    """
    if len(text) > LONGEST_STRING:
        text = text[:LONGEST_STRING] + ELLIPSIS
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    # Graphviz resolves entities in labels, so an ampersand is written as one.
    escaped = escaped.replace("&", "&amp;").replace("\n", newline)
    return f'"{escaped}"'


def _lines(sheet: Sheet) -> Iterator[str]:
    frame, writer = sheet.frame, _Writer(dark=sheet.theme == "dark")
    box = f"{_point((frame.left, frame.bottom))},{_point((frame.right, frame.top))}"
    paper = colour("paper", dark=writer.dark)
    yield "digraph unrolled {"
    yield f'graph [bb="{box}" layout="nop2" bgcolor="{paper}" fontname="{FONT}" pad="0" margin="0"'
    yield f"  outputorder=nodesfirst splines=true tooltip={quote(one_line(sheet.title))}];"
    yield f'node [fontname="{FONT}" fixedsize="true" margin="0"];'
    yield f'edge [fontname="{FONT}"];'
    # Two invisible corners make every renderer keep the whole frame, also those that compute their own.
    for name, x, y in (("corner0", frame.left, frame.bottom), ("corner1", frame.right, frame.top)):
        at = _point((x, y))
        yield f'{name} [shape="point" style="invis" width="0.01" height="0.01" label="" pos="{at}"];'
    yield from map(writer.node, sheet.shapes)
    yield from map(writer.edge, sheet.curves)
    yield "}"


class _Writer:
    """Knows the theme."""

    def __init__(self, *, dark: bool) -> None:
        self.dark = dark

    def node(self, shape: Shape) -> str:
        label = quote(shape.text, _JUSTIFY[shape.align])
        if shape.align != "middle" and shape.text:  # the label "\\l" alone makes Graphviz write past its memory
            label = label[:-1] + _JUSTIFY[shape.align] + '"'
        parts = [
            f'shape="{_FORMS[shape.form]}"',
            f'pos="{_point((shape.box.x, shape.box.y))}"',
            f'width="{_inches(shape.box.width)}" height="{_inches(shape.box.height)}"',
            f'label={label} fontsize="{plain(shape.size)}" fontcolor="{self._colour(shape.ink)}"',
        ]
        if shape.bold:
            parts.append(f'fontname="{FONT} Bold"')
        if shape.form != "text":
            styles = [*(["rounded"] if shape.form == "box" else []), *(["filled"] if shape.fill else [])]
            styles += [] if shape.line == "solid" else [shape.line]
            stroke = self._colour(shape.stroke if shape.thickness else shape.fill)
            parts.append(f'style="{",".join(styles)}" fillcolor="{self._colour(shape.fill)}" color="{stroke}"')
            parts.append(f'penwidth="{plain(shape.thickness)}"')
        if shape.hint:
            parts.append(f"tooltip={quote(shape.hint)}")
        return f"{shape.id} [{' '.join(parts)}];"

    def edge(self, curve: Curve) -> str:
        parts = [
            f'pos="{_way(curve)}"',
            f'color="{self._colour(curve.stroke)}" penwidth="{plain(curve.thickness)}"',
        ]
        if curve.line != "solid":
            parts.append(f'style="{curve.line}"')
        if curve.head != "filled":
            parts.append(f'arrowhead="{"empty" if curve.head == "hollow" else "none"}"')
        if curve.head != "none":
            parts.append(f'arrowsize="{plain(_outlined(curve)[0])}"')
        if curve.text:
            parts.append(
                f'label={quote(curve.text)} lp="{_point(curve.text_at)}" fontcolor="{self._colour(curve.ink)}"'
            )
            parts.append(f'fontsize="{plain(curve.text_size)}"')
            parts += [f'fontname="{FONT} Bold"'] if curve.bold else []
        if curve.hint:
            parts.append(f"tooltip={quote(curve.hint)}")
        return f"{curve.source or 'corner0'} -> {curve.target or 'corner1'} [{' '.join(parts)}];"

    def _colour(self, name: str) -> str:
        return colour(name, dark=self.dark)


def _way(curve: Curve) -> str:
    """Return the points of a curve, with its tip where it has a head."""
    if curve.head == "none":
        return " ".join(map(_point, curve.points))
    size, over = _outlined(curve)
    tip, base = _before(curve.points, over), _before(curve.points, over + 8 * size)
    return f"e,{_point(tip)} " + " ".join(map(_point, (*curve.points[:-1], base)))


def _outlined(curve: Curve) -> tuple[float, float]:
    """Return the size of an arrow head, and how far its outline goes over its tip.

    Graphviz outlines a head with the pen of its line. A head of size 1 is 10 points long, and 7 wide or more where the
    pen is wider than 4.
    """
    half = curve.thickness / 2
    over = half / math.sin(math.atan(0.35 * max(1.0, curve.thickness / 4)))
    return max(0.2, (curve.head_length - over - half) / 10 + 0.1), over


def _before(points: tuple[Point, ...], distance: float) -> Point:
    """Return the point `distance` before the tip, where the arrow head begins."""
    (x, y), (a, b) = points[-1], points[-2]
    length = ((x - a) ** 2 + (y - b) ** 2) ** 0.5 or 1.0
    share = min(0.9, distance / length)
    return x + (a - x) * share, y + (b - y) * share


def _point(point: Point) -> str:
    return f"{plain(point[0])},{plain(-point[1])}"


def _inches(points: float) -> str:
    return f"{points / 72:.4f}".rstrip("0").rstrip(".")
