"""A history as a picture: the lag curves of all measurements over each other, early ones pale, late ones strong.

In: a `Course`. Out: a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.graph.charts.frame import SMALL, Paper
from rnngraph.graph.charts.overlay import Curve, Panel, draw_panels
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.pen import rectangle, words
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.style.left import strengths
from rnngraph.history.course import Course, Series
from rnngraph.history.history_text import skipped_sentences, trend_sentence
from rnngraph.render.report.history.history_table import reach_cell

_THICK, _THIN, _SWATCHES = 2.4, 1.3, 220.0


def history_sheet(history: Course, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw a history.

    Raises:
        InputError: an option that is not one of its choices.
    """
    paper, colours, last = Paper(width, theme), strengths(len(history.measurements)), history.measurements[-1]
    title, now = trend_sentence(history), f"Now, at step {last.step}: {last.said}"
    paper.head(title, now, *skipped_sentences(history))
    draw_panels(paper, [_panel(history, one, colours) for one in history.series])
    _key(paper, history, colours)
    return paper.finish(title, now)


def _panel(history: Course, series: Series, colours: Sequence[str]) -> Panel:
    curves = []
    for place, (one, reading) in enumerate(zip(history.measurements, series.readings, strict=True)):
        if reading is not None:
            newest = place == len(history.measurements) - 1
            said = f"step {one.step}: reaches lag {reach_cell(one)}"
            style = {"thickness": _THICK if newest else _THIN, "hint": said}
            curves.append(Curve(reading.left, colours[place], style))
    where = "at the input: " if series.at_input else "in the states of "
    flag = (series.horizon, f"judged at lag {series.horizon}") if series.horizon else None
    return Panel(f"{where}{series.name}", tuple(curves), "lag: steps back from the loss", flag=flag)


def _key(paper: Paper, history: Course, colours: Sequence[str]) -> None:
    """Explain the colours: a swatch a measurement, the first and the last with their step."""
    first, last = f"step {history.steps[0]}", f"step {history.steps[-1]}"
    x, y, style = paper.margin, paper.y + 6, {"ink": "muted", "align": "left"}
    paper.shapes.append(words("key0", "legend", first, x, y, SMALL, **style))
    if len(colours) > 1:
        x += width_of(first, SMALL) + 8
        each = min(_SWATCHES, paper.inner / 3) / len(colours)
        for place, (step, fill) in enumerate(zip(history.steps, colours, strict=True)):
            paper.shapes.append(rectangle(f"swatch{place}", "legend", x + place * each, y - 5, each + 0.3, 11,
                                          fill=fill, hint=f"step {step}"))  # fmt: skip
        paper.shapes.append(words("key1", "legend", last, x + len(colours) * each + 8, y, SMALL, **style))
    paper.y += 24
    paper.note("Of what there is at lag 1. Dashed: 1 %, where credit ends.", paper.margin)
