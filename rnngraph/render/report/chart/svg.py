"""A chart as an SVG document, which turns dark where its reader asks for that.

In: a `Chart`. Out: text. Without the dark colours, as in a viewer that knows no style sheets, it is the light one.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from rnngraph.graph.style.palette import INK
from rnngraph.render.report.chart.shapes import Box, Chart, Label, Line, Shape

FONT = "Helvetica, Arial, sans-serif"


def chart_svg(chart: Chart) -> str:
    """Write an SVG document."""
    size = f"{chart.width:g} {chart.height:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{chart.width:g}" '
            f'height="{chart.height:g}" font-family="{FONT}" fill="{INK}" role="img">',
            f"<title>{escaped(chart.title)}</title>",
            *_style(chart),
            f'<rect width="{chart.width:g}" height="{chart.height:g}" {_paint(chart, "fill", chart.paper)}/>',
            *(_svg_shape(chart, shape) for shape in chart.shapes),
            "</svg>\n",
        ]
    )


def escaped(text: str) -> str:
    """Write a text as XML can hold it."""
    return escape("".join(sign if sign.isprintable() else "\ufffd" for sign in text))


def _style(chart: Chart) -> Iterator[str]:
    if chart.dark:
        rules = "".join(
            f".{_name(key, light)}{{{key}:{dark}}}" for light, dark in chart.dark.items() for key in ("fill", "stroke")
        )
        yield f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"


def _paint(chart: Chart, key: str, colour: str) -> str:
    """Give a colour as an attribute, and as a class where it has a dark counterpart."""
    named = f'class="{_name(key, colour)}" ' if colour in chart.dark else ""
    return f'{named}{key}="{colour}"'


def _name(key: str, colour: str) -> str:
    return key[0] + colour.removeprefix("#")


def _svg_shape(chart: Chart, shape: Shape) -> str:
    match shape:
        case Box(x, y, width, height, fill, title):
            place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            return f"<rect {place} {_paint(chart, 'fill', fill)}{_closed('rect', title)}"
        case Line(points, stroke, width, dashed, title):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dashes = ' stroke-dasharray="5 4"' if dashed else ""
            return (
                f'<polyline points="{path}" fill="none" {_paint(chart, "stroke", stroke)} stroke-width="{width:g}"'
                f"{dashes}{_closed('polyline', title)}"
            )
        case Label(x, y, text, size, anchor, fill, bold):
            weight = ' font-weight="bold"' if bold else ""
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
                f"{_paint(chart, 'fill', fill)}{weight}>{escaped(text)}</text>"
            )


def _closed(element: str, title: str) -> str:
    return f"><title>{escaped(title)}</title></{element}>" if title else "/>"
