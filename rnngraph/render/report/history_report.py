"""A history as a report: sentences, sparklines and a table for a rich console, strict JSON, and a picture.

In: a `History`. The table is plain text cells, a row a measurement, which the page shows, too; the JSON has null where
there is no number, and gains in decades; the picture is a sheet with the curves of all measurements over each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from rnngraph.diagnosis.sentences import share_text
from rnngraph.graph.charts.overlay import Curve, Panel, credit_panel, draw_panels
from rnngraph.graph.paper import Paper, Swatch
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.steps import evenly
from rnngraph.graph.style.palette import strengths
from rnngraph.history.course import History, Series, history_sentences, now_sentence, skipped_sentences, trend_sentence
from rnngraph.history.measurement import Measurement, Reading
from rnngraph.history.trend import CLOSING, OPENING, Trend
from rnngraph.render.report.seen.sparklines import character
from rnngraph.render.report.text import Parts, laid_out, number_text, plain_table, printable, steps_text
from rnngraph.render.strict import json_line, picked

WIDEST = 60  # characters of a sparkline
_STYLES = {OPENING: "bold green", CLOSING: "bold red"}
_FINE = ("healthy", "attenuating")


@laid_out
def history_report(width: int, history: History) -> Parts:
    """Write what `rnngraph history` prints."""
    yield Text(trend_sentence(history), style=_STYLES.get(history.trend.trend or "", "bold"))
    yield Text(now_sentence(history))
    yield Text()
    yield _sparklines(history, width)
    yield Text()
    yield _table(history)
    for text in skipped_sentences(history):
        yield Text(printable(text), style="yellow")
    yield Text(_notes(history), style="dim")


def _sparklines(history: History, width: int) -> Table:
    table = plain_table()
    table.add_column(overflow="fold", max_width=max(width // 3, 8), style="bold")
    room = max(min(width // 3, WIDEST), 4)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in history.series:
        ends = f"lag {_ends(one, 0)} to {_ends(one, -1)}"
        trend = one.trend.trend or "too early to tell"
        said = Text.assemble(ends, "  ", (trend, _STYLES.get(trend, "")))
        table.add_row(printable(one.name), sparkline(one.reaches, room), said)
    return table


def sparkline(reaches: Sequence[int | None], width: int) -> str:
    """Draw reaches, a sign a measurement, from 0 to the longest of them; a blank is not known.

    Where there are more measurements than signs they are taken evenly, the first and the last among them.
    """
    most = max((reach for reach in reaches if reach is not None), default=0) or 1
    chosen = (reaches[place] for place in evenly(len(reaches), width))
    values = (math.nan if reach is None else reach for reach in chosen)
    return "".join(character(value, 0, most) for value in values)


def _ends(one: Series, place: int) -> str:
    known = [reading for reading in one.readings if reading is not None and reading.reach is not None]
    return reach_cell(known[place]) if known else "-"


def _table(history: History) -> Table:
    (*headings, last), *rows = history_table(history)
    table = plain_table(*headings, justify="right", no_wrap=True)
    table.add_column(last, overflow="fold")
    for *numbers, flags in rows:
        table.add_row(*numbers, Text(flags, style="" if flags.split(",")[0] in _FINE else "yellow"))
    return table


def _notes(history: History) -> str:
    asked = "the lag that is needed" if history.asked else "the lag at which most measurements are judged"
    at = (
        f"Gains are what is left at lag {history.horizon}, {asked}, of what there is at lag 1"
        if history.horizon
        else ""
    )
    return f"{printable(history.folder)}. {at}; reach is the last lag with 1 % or more, + as far as was measured."


def history_table(history: History) -> Iterator[tuple[str, ...]]:
    """Name the columns, and write a row a measurement; a gain is that at the horizon."""
    at = f"gain at lag {history.horizon}" if history.horizon else "gain"
    yield "step", "loss", "reach", at, "half-life", "flags"
    for one, gain in zip(history.measurements, history.gains, strict=True):
        left = "-" if math.isnan(gain) else share_text(gain)
        yield str(one.step), number_text(one.loss), reach_cell(one), left, steps_text(one.half_life), flags_cell(one)


def reach_cell(one: Measurement | Reading) -> str:
    """Write a reach; a plus says that it is as far as was measured."""
    return "-" if one.reach is None else f"{one.reach}{'+' if one.whole else ''}"


def flags_cell(one: Measurement) -> str:
    """Write the flags, the verdict first."""
    return ", ".join(flag.replace("_", " ") for flag in one.flags)


SCHEMA = 1


def history_json(history: History) -> str:
    """Write the report of `rnngraph history --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        **picked(history, "folder", "horizon", "asked"),
        "checks": [
            _check(history, one, place, gain)
            for place, (one, gain) in enumerate(zip(history.measurements, history.gains, strict=True))
        ],
        "trend": trend_document(history),
        "trends": [picked(one, "name", "horizon") | _trend(history, one.trend) for one in history.series],
        "skipped": [picked(one, "name", "reason") for one in history.skipped],
    })  # fmt: skip


def _check(history: History, one: Measurement, place: int, gain: float) -> dict[str, Any]:
    return {
        "file": one.label,
        "gain": gain,
        **measurement_document(one),
        "states": [_reading(line, place) for line in history.series if not line.at_input and line.readings[place]],
        "inputs": [_reading(line, place) for line in history.series if line.at_input and line.readings[place]],
        "trend": history.trend.trends[place],
    }


def measurement_document(one: Measurement) -> dict[str, Any]:
    """Lay out what one measurement says of the whole network."""
    return {**picked(one, "step", "loss", "verdict", "flags", "reach", "half_life"), "reach_is_whole": one.whole}


def _reading(line: Series, place: int) -> dict[str, Any]:
    one = line.readings[place]
    return reading_document(one, line.gains[place]) if one is not None else {}


def reading_document(one: Reading, gain: float) -> dict[str, Any]:
    """Lay one reading out, with its gain at whatever lag it is compared at."""
    document = {**picked(one, "name", "reach", "half_life"), "reach_is_whole": one.whole, "gain": gain}
    return document if one.at_input else document | picked(one, "peak", "saturated")


def trend_document(history: History) -> dict[str, Any]:
    """Lay the trend of the whole out, with its sentence."""
    return _trend(history, history.trend) | {"text": trend_sentence(history)}


def _trend(history: History, trend: Trend) -> dict[str, Any]:
    known = trend.trend is not None
    return {"trend": trend.trend, "since": history.steps[trend.since] if known else None}


_THICK, _THIN = 2.4, 1.3


def history_sheet(history: History, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw a history.

    Raises:
        InputError: an option that is not one of its choices.
    """
    paper, colours = Paper(width, theme), strengths(len(history.measurements))
    title, now, *skipped = history_sentences(history)
    paper.head(title, now, *skipped)
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
