"""Write a drawing as DOT text in which every position is pinned: Graphviz only draws it (engine `nop2`, `neato -n2`).

Text is escaped so that no label is read as HTML, as an escape or as a port.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import ELLIPSIS, Point, one_line
from rnngraph.graph.sheet import Curve, Shape

FONT = "Helvetica"
LONGEST_STRING = 3000  # characters, of at most five bytes each once they are escaped
_JUSTIFY = {"left": "\\l", "middle": "\\n", "right": "\\r"}
_FORMS = {"box": "box", "rectangle": "box", "ellipse": "ellipse", "text": "plaintext"}


def dot(drawing: Drawing) -> str:
    """Return the drawing as DOT text."""
    return "\n".join(_lines(drawing)) + "\n"


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


def _lines(drawing: Drawing) -> Iterator[str]:
    frame = drawing.frame
    box = ",".join(_number(side) for side in (frame.left, frame.bottom, frame.right, frame.top))
    yield "digraph unrolled {"
    yield f'graph [bb="{box}" layout="nop2" bgcolor="white" fontname="{FONT}" pad="0"'
    yield f"  outputorder=nodesfirst splines=true tooltip={quote(one_line(drawing.graph.title))}];"
    yield f'node [fontname="{FONT}" fixedsize="true" margin="0"];'
    yield f'edge [fontname="{FONT}" fontsize="10.5" arrowsize="0.6"];'
    # Two invisible corners make every renderer keep the whole frame, also those that compute their own.
    for name, x, y in (("corner0", frame.left, frame.bottom), ("corner1", frame.right, frame.top)):
        at = _point((x, y))
        yield f'{name} [shape="point" style="invis" width="0.01" height="0.01" label="" pos="{at}"];'
    yield from map(_node, drawing.shapes)
    yield from map(_edge, drawing.curves)
    yield "}"


def _node(shape: Shape) -> str:
    label = quote(shape.text, _JUSTIFY[shape.align])
    if shape.align != "middle" and shape.text:  # the label "\\l" alone makes Graphviz write past its memory
        label = label[:-1] + _JUSTIFY[shape.align] + '"'
    parts = [
        f'shape="{_FORMS[shape.form]}"',
        f'pos="{_number(shape.box.x)},{_number(shape.box.y)}"',
        f'width="{_inches(shape.box.width)}" height="{_inches(shape.box.height)}"',
        f'label={label} fontsize="{_number(shape.size)}" fontcolor="{shape.ink}"',
    ]
    if shape.bold:
        parts.append(f'fontname="{FONT}-Bold"')
    if shape.form != "text":
        styles = [*(["rounded"] if shape.form == "box" else []), *(["filled"] if shape.fill else [])]
        styles += [] if shape.line == "solid" else [shape.line]
        parts.append(f'style="{",".join(styles)}" fillcolor="{shape.fill}" color="{shape.stroke}"')
        parts.append(f'penwidth="{_number(shape.thickness)}"')
    if shape.hint:
        parts.append(f"tooltip={quote(shape.hint)}")
    return f"{shape.id} [{' '.join(parts)}];"


def _edge(curve: Curve) -> str:
    tip = curve.points[-1]
    base = _before(curve.points, 5.0 + 1.2 * curve.thickness)
    points = " ".join(map(_point, (*curve.points[:-1], base)))
    parts = [
        f'pos="e,{_point(tip)} {points}"',
        f'color="{curve.stroke}" penwidth="{_number(curve.thickness)}"',
    ]
    if curve.line != "solid":
        parts.append(f'style="{curve.line}"')
    if curve.head == "hollow":
        parts.append('arrowhead="empty"')
    if curve.text:
        parts.append(f'label={quote(curve.text)} lp="{_point(curve.text_at)}" fontcolor="{curve.ink}"')
    if curve.hint:
        parts.append(f"tooltip={quote(curve.hint)}")
    return f"{curve.source} -> {curve.target} [{' '.join(parts)}];"


def _before(points: tuple[Point, ...], distance: float) -> Point:
    """Return the point `distance` before the tip, where the arrow head begins."""
    (x, y), (a, b) = points[-1], points[-2]
    length = ((x - a) ** 2 + (y - b) ** 2) ** 0.5 or 1.0
    share = min(0.9, distance / length)
    return x + (a - x) * share, y + (b - y) * share


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _inches(points: float) -> str:
    return f"{points / 72:.4f}".rstrip("0").rstrip(".")
