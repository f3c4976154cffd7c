"""A chart as DOT text with every position pinned, for Graphviz to draw where pixels are wanted.

In: a `Chart`. Out: text; its colours are the light ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from rnngraph.render.report.chart.shapes import Box, Chart, Label, Line, Shape

_WIDE = 0.62  # of the size of a letter is its width at most, on average over a text


def chart_dot(chart: Chart, dpi: float) -> str:
    """Write DOT text with every position pinned, a point for a pixel."""
    lines = [
        "graph {",
        f'graph [dpi="{dpi:.4g}" pad="0" bgcolor="{chart.paper}" fontname="Helvetica"]',
        'node [shape="box" style="filled" penwidth="0" fixedsize="true" margin="0" label="" fontname="Helvetica"]',
        *_box_lines("sheet", Box(0, 0, chart.width, chart.height, chart.paper), chart.height),
    ]
    for number, shape in enumerate(chart.shapes):
        lines += _dot_lines(f"s{number}", shape, chart.height)
    return "\n".join([*lines, "}", ""])


def _dot_lines(name: str, shape: Shape, height: float) -> Iterator[str]:
    match shape:
        case Box():
            yield from _box_lines(name, shape, height)
        case Line(points, stroke, width, dashed):
            style = f'color="{stroke}" penwidth="{width:g}"' + (' style="dashed"' if dashed else "")
            for number, (first, last) in enumerate(pairwise(points)):
                yield from _piece(f"{name}x{number}", (first, last), style, height)
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


def _piece(name: str, ends: Sequence[tuple[float, float]], style: str, height: float) -> Iterator[str]:
    (x0, y0), (x1, y1) = ((x, height - y) for x, y in ends)
    for end, (x, y) in (("a", (x0, y0)), ("b", (x1, y1))):
        yield f'{name}{end} [style="invis" width="0.001" height="0.001" pos="{x:.2f},{y:.2f}"]'
    path = f"{x0:.2f},{y0:.2f} {x0:.2f},{y0:.2f} {x1:.2f},{y1:.2f} {x1:.2f},{y1:.2f}"
    yield f'{name}a -- {name}b [pos="{path}" {style}]'


def _quoted(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return escape(plain, quote=False).replace("\\", "\\\\").replace('"', '\\"')
