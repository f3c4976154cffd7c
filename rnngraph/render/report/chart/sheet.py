"""A sheet of panels under a title: as many beside each other as its width has room for.

In: a title, lines below it, panels, and shapes that stand at the foot. Out: a `Chart`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rnngraph.graph.layout.geometry import one_line, shorten, text_width
from rnngraph.render.report.chart.colours import DARK, INK, MUTED, PAPER
from rnngraph.render.report.chart.panel import Panel, panel_shapes
from rnngraph.render.report.chart.shapes import Chart, Label, Shape

_MARGIN, _PANEL, _GAP = 20, 300, 16
_NARROW = 600  # of a sheet, below which panels stand under each other and letters are smaller
_LINES = 12  # of a text at most


def sheet(
    title: str,
    lines: Sequence[str],
    panels: Sequence[Panel],
    width: int,
    *,
    foot: Callable[[float, float, float], tuple[list[Shape], float]],
    dark: dict[str, str],
) -> Chart:
    """Lay a sheet out; `foot` gets left, top and width, and gives its shapes and its height."""
    narrow = width < _NARROW
    inner = width - 2 * _MARGIN
    shapes: list[Shape] = []
    top = 8.0
    for text, size, bold, fill in (
        (title, 16 if narrow else 19, True, INK),
        *((one, 12.5, False, MUTED) for one in lines),
    ):
        for line in wrapped(text, inner, size):
            top += size * 1.35
            shapes.append(Label(_MARGIN, top, line, size=size, fill=fill, bold=bold))
        top += 4
    top += 14
    columns = 1 if narrow or len(panels) == 1 else 2
    wide = (inner - (columns - 1) * _GAP) / columns
    for place, panel in enumerate(panels):
        left = _MARGIN + place % columns * (wide + _GAP)
        shapes += panel_shapes(panel, left, top + place // columns * (_PANEL + _GAP), wide, _PANEL)
    top += -(-len(panels) // columns) * (_PANEL + _GAP)
    found, tall = foot(_MARGIN, top, inner)
    return Chart(one_line(title), width, round(top + tall + 12), (*shapes, *found), DARK | dark, PAPER)


def wrapped(text: str, width: float, size: float) -> Iterator[str]:
    """Break a text into lines of a width, a word that is too long for one cut."""
    line, written = "", 0
    for word in one_line(text).split(" "):
        longer = f"{line} {word}" if line else word
        if line and text_width(longer, size) > width:
            yield shorten(line, width, size)
            line, written = word, written + 1
            if written == _LINES:
                return
        else:
            line = longer[:10_000]
    if line:
        yield shorten(line, width, size)
