"""A history as a picture: the lag curves of all measurements over each other, early ones pale, late ones strong.

In: a `Course`. Out: bytes of an SVG document, an HTML page, or a PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rnngraph.history.course import Course, Series
from rnngraph.history.history_text import skipped_sentences, trend_sentence
from rnngraph.render.report.chart.colours import MUTED, ramp
from rnngraph.render.report.chart.document import NARROW, WIDE, chart_document, known_format
from rnngraph.render.report.chart.panel import Curve, Panel
from rnngraph.render.report.chart.shapes import Box, Chart, Label, Shape
from rnngraph.render.report.chart.sheet import sheet
from rnngraph.render.report.history.history_table import headings, reach_cell, rows

_THICK, _THIN, _KEY, _SWATCHES = 2.4, 1.3, 24, 220


def history_picture(history: Course, format: str) -> bytes:  # noqa: A002 - the option's name
    """Draw a history as `svg`, `png` or `html`.

    Raises:
        InputError: another format.
        MissingToolError: a PNG needs Graphviz and there is none.
    """
    known_format(format)
    wide, narrow = (history_chart(history, width) for width in (WIDE, NARROW))
    return chart_document(format, wide, narrow, table=(headings(history), *rows(history)))


def history_chart(history: Course, width: int = WIDE) -> Chart:
    """Lay a history out for a width in pixels."""
    colours = ramp(len(history.measurements))
    last = history.measurements[-1]
    lines = [f"Now, at step {last.step}: {last.said}", *skipped_sentences(history)]
    return sheet(
        trend_sentence(history), lines, [_panel(history, one, colours) for one in history.series], width,
        foot=partial(_key, history, colours), dark=dict(colours),
    )  # fmt: skip


def _panel(history: Course, series: Series, colours: Sequence[tuple[str, str]]) -> Panel:
    curves = []
    for place, (one, reading) in enumerate(zip(history.measurements, series.readings, strict=True)):
        if reading is not None:
            newest = place == len(history.measurements) - 1
            said = f"step {one.step}: reaches lag {reach_cell(one)}"
            curves.append(Curve(reading.left, colours[place][0], _THICK if newest else _THIN, title=said))
    where = "at the input: " if series.at_input else "in the states of "
    mark = (series.horizon, f"horizon: lag {series.horizon}") if series.horizon else None
    return Panel(f"{where}{series.name}", tuple(curves), "lag: steps back from the loss", mark=mark)


def _key(
    history: Course, colours: Sequence[tuple[str, str]], left: float, top: float, width: float
) -> tuple[list[Shape], float]:
    """Explain the colours: a swatch a measurement, the first and the last with their step."""
    steps = history.steps
    text = f"step {steps[0]}"
    shapes: list[Shape] = [Label(left, top + 12, text, size=11.5, fill=MUTED)]
    if len(steps) > 1:
        x = left + 8 + 7 * len(text)
        each = min(_SWATCHES, width / 3) / len(steps)
        shapes += [Box(x + place * each, top + 3, each + 0.3, 11, light, f"step {steps[place]}")
                   for place, (light, _) in enumerate(colours)]  # fmt: skip
        shapes.append(Label(x + each * len(steps) + 8, top + 12, f"step {steps[-1]}", size=11.5, fill=MUTED))
    shapes.append(
        Label(left, top + 30, "Of what there is at lag 1. Dashed: 1 %, where credit ends.", size=11.5, fill=MUTED)
    )
    return shapes, _KEY + 14
