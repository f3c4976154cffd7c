"""A history as a picture: the lag curves of all measurements over each other, early ones pale, late ones strong.

In: a `History`. Out: a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.graph.charts.frame import Paper
from rnngraph.graph.charts.overlay import Curve, Panel, credit_panel, draw_panels
from rnngraph.graph.key import Swatch
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.style.palette import strengths
from rnngraph.history.course import History, Series, skipped_sentences, trend_sentence
from rnngraph.render.report.history.history_report import reach_cell

_THICK, _THIN = 2.4, 1.3


def history_sheet(history: History, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw a history.

    Raises:
        InputError: an option that is not one of its choices.
    """
    paper, colours, last = Paper(width, theme), strengths(len(history.measurements)), history.measurements[-1]
    title, now = trend_sentence(history), f"Now, at step {last.step}: {last.said}"
    paper.head(title, now, *skipped_sentences(history))
    draw_panels(paper, [_panel(history, one, colours) for one in history.series])
    shown = dict(zip(history.steps, colours, strict=True))
    ends = [Swatch(f"step {step}", shown[step]) for step in dict.fromkeys((history.steps[0], history.steps[-1]))]
    paper.key(ends, "Of what there is at lag 1. Dashed: 1 %, where credit ends.")
    return paper.finish(title, now)


def _panel(history: History, series: Series, colours: Sequence[str]) -> Panel:
    curves = []
    for place, (one, reading) in enumerate(zip(history.measurements, series.readings, strict=True)):
        if reading is not None:
            newest = place == len(history.measurements) - 1
            said = f"step {one.step}: reaches lag {reach_cell(one)}"
            style = {"thickness": _THICK if newest else _THIN, "hint": said}
            curves.append(Curve(reading.left, colours[place], style))
    return credit_panel(series.name, curves, at_input=series.at_input, horizon=series.horizon)
