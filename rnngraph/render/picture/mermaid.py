"""Write a drawing as a Mermaid flowchart for Markdown pages: the same vertices and arrows, laid out by Mermaid.

Time runs to the right; every step is a subgraph. Positions, bars and weights have no place in Mermaid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.sheet import Curve, Shape
from rnngraph.graph.style.left import colour


def mermaid(drawing: Drawing) -> str:
    """Return the drawing as Mermaid text."""
    return "\n".join(_lines(drawing)) + "\n"


def quote(text: str) -> str:
    """Quote a text so that Mermaid shows exactly `text`: its specials as character entities."""
    shown = "".join(_entity(character) for character in text)
    # A line that begins like an item of a list would be read as one, which Mermaid does not draw.
    shown = re.sub(r"(^|<br/>)( *)([-+]|\d+\.)(?= |$|<br/>)", _item, shown)
    return f'"{shown}"'


def _item(match: re.Match[str]) -> str:
    return match[1] + match[2] + match[3][:-1] + f"#{ord(match[3][-1])};"


def _lines(drawing: Drawing) -> Iterator[str]:
    # A comment may not hold what Mermaid reads as a directive, wherever it stands.
    yield "%% " + one_line(drawing.graph.title).replace("%%", "% %").replace("{", "(").replace("}", ")")
    yield "flowchart LR"
    vertices = [shape for shape in drawing.shapes if shape.role == "vertex"]
    labels = {vertex.id: vertex.label for vertex in drawing.graph.vertices}
    dark = drawing.sheet.theme == "dark"
    for number, column in enumerate(drawing.graph.columns):
        inside = [shape for shape in vertices if shape.column == number]
        heads = [shape.text for shape in drawing.shapes if shape.role == "header" and shape.column == number]
        if inside:
            yield f"  subgraph column{number}[{quote(' '.join(heads) or 'before')}]"
            yield "    direction BT"
            yield from (f"    {_vertex(shape, labels[shape.id])}" for shape in inside)
            yield "  end"
        if column.kind == "step" and column.valid == 0:
            fill, stroke = (colour(name, dark=dark) for name in ("padding", "padding-line"))
            yield f"  style column{number} fill:{fill},stroke:{stroke}"
    for number, curve in enumerate(curve for curve in drawing.curves if curve.kind != "line"):
        yield f"  {_edge(curve)}"
        if curve.kind == "backward":
            dash = {"dashed": ",stroke-dasharray:6 4", "dotted": ",stroke-dasharray:2 3"}.get(curve.line, "")
            stroke = colour(curve.stroke, dark=dark)
            yield f"  linkStyle {number} stroke:{stroke},stroke-width:{curve.thickness:g}px{dash}"
    for shape in vertices:
        if shape.form != "text":
            fill, stroke, ink = (colour(name, dark=dark) for name in (shape.fill, shape.stroke, shape.ink))
            yield f"  style {shape.id} fill:{fill},stroke:{stroke},color:{ink}"


def _vertex(shape: Shape, label: str) -> str:
    opened, closed = ("([", "])") if shape.form == "ellipse" else ("(", ")")
    return f"{shape.id}{opened}{quote(shape.text or label)}{closed}"


def _edge(curve: Curve) -> str:
    arrow = "==>" if curve.kind == "backward" else "-->"
    label = f"|{quote(curve.text)}|" if curve.text else ""
    return f"{curve.source} {arrow}{label} {curve.target}"


def _entity(character: str) -> str:
    if character == "\n":
        return "<br/>"
    # Everything that Mermaid or Markdown may read as more than text; `#` begins Mermaid's own entities.
    if character in '"#&<>;`\\*_~{}[]()|$%':
        return f"#{ord(character)};"
    return character
