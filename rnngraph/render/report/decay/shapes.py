"""What a chart is made of, and its two ways out: an SVG document, and DOT text whose positions Graphviz keeps.

In: boxes, lines and texts in pixels, y downwards. Out: text. Both ways draw the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TypeAlias

from rnngraph.graph.style.palette import INK, PAPER

FONT = "Helvetica, Arial, sans-serif"
_WIDE = 0.62  # of the size of a letter is its width at most, on average over a text


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `title` is shown when the pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Straight pieces from point to point."""

    points: tuple[tuple[float, float], ...]
    stroke: str = INK
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text on its baseline; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 12
    anchor: str = "start"
    fill: str = INK
    bold: bool = False


Shape: TypeAlias = Box | Line | Label


@dataclass(frozen=True, slots=True)
class Chart:
    """Shapes on a sheet, from the lowest to the uppermost."""

    title: str
    width: float
    height: float
    shapes: tuple[Shape, ...]


def chart_svg(chart: Chart) -> str:
    """Write an SVG document."""
    size = f"{chart.width:g} {chart.height:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{chart.width:g}" '
            f'height="{chart.height:g}" font-family="{FONT}" fill="{INK}" role="img">',
            f"<title>{escaped(chart.title)}</title>",
            f'<rect width="{chart.width:g}" height="{chart.height:g}" fill="{PAPER}"/>',
            *map(_svg_shape, chart.shapes),
            "</svg>\n",
        ]
    )


def escaped(text: str) -> str:
    """Write a text as XML can hold it."""
    return escape("".join(sign if sign.isprintable() else "\ufffd" for sign in text))


def _svg_shape(shape: Shape) -> str:
    match shape:
        case Box(x, y, width, height, fill, title):
            inside = f"><title>{escaped(title)}</title></rect>" if title else "/>"
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{inside}'
        case Line(points, stroke, width):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"/>'
        case Label(x, y, text, size, anchor, fill, bold):
            weight = ' font-weight="bold"' if bold else ""
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"{weight}>'
                f"{escaped(text)}</text>"
            )


def chart_dot(chart: Chart, dpi: float) -> str:
    """Write DOT text with every position pinned, a point for a pixel."""
    lines = [
        "graph {",
        f'graph [dpi="{dpi:.4g}" pad="0" bgcolor="{PAPER}" fontname="Helvetica"]',
        'node [shape="box" style="filled" penwidth="0" fixedsize="true" margin="0" label="" fontname="Helvetica"]',
        *_box_lines("sheet", Box(0, 0, chart.width, chart.height, PAPER), chart.height),
    ]
    for number, shape in enumerate(chart.shapes):
        lines += _dot_lines(f"s{number}", shape, chart.height)
    return "\n".join([*lines, "}", ""])


def _dot_lines(name: str, shape: Shape, height: float) -> Iterator[str]:
    match shape:
        case Box():
            yield from _box_lines(name, shape, height)
        case Line(points, stroke, width):
            for number, (first, last) in enumerate(pairwise(points)):
                yield from _piece(f"{name}x{number}", (first, last), stroke, width, height)
        case Label(x, y, text, size, anchor, fill, bold):
            wide = max(len(text) * size * _WIDE, 1)
            middle = x + {"start": wide / 2, "middle": 0, "end": -wide / 2}[anchor]
            justified = {"start": r"\l", "middle": "", "end": r"\r"}[anchor]
            face = "Helvetica-Bold" if bold else "Helvetica"
            yield (
                f'{name} [style="" pos="{middle:.2f},{height - y + size * 0.33:.2f}" width="{wide / 72:.4f}" '
                f'height="{size / 60:.4f}" label="{_quoted(text)}{justified}" fontsize="{size:g}" fontcolor="{fill}" '
                f'fontname="{face}"]'
            )


def _box_lines(name: str, box: Box, height: float) -> Iterator[str]:
    x, y = box.x + box.width / 2, height - box.y - box.height / 2
    yield (
        f'{name} [pos="{x:.2f},{y:.2f}" width="{box.width / 72:.5f}" height="{box.height / 72:.5f}" '
        f'fillcolor="{box.fill}"]'
    )


def _piece(name: str, ends: Sequence[tuple[float, float]], stroke: str, width: float, height: float) -> Iterator[str]:
    (x0, y0), (x1, y1) = ((x, height - y) for x, y in ends)
    for end, (x, y) in (("a", (x0, y0)), ("b", (x1, y1))):
        yield f'{name}{end} [style="invis" width="0.001" height="0.001" pos="{x:.2f},{y:.2f}"]'
    path = f"{x0:.2f},{y0:.2f} {x0:.2f},{y0:.2f} {x1:.2f},{y1:.2f} {x1:.2f},{y1:.2f}"
    yield f'{name}a -- {name}b [pos="{path}" color="{stroke}" penwidth="{width:g}"]'


def _quoted(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return escape(plain, quote=False).replace("\\", "\\\\").replace('"', '\\"')
