"""The picture of the lags: for every row of the network its map and its curve, under the three sentences.

In: a trace with lags, and what is asked for. Out: a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.one_loss import Losses
from rnngraph.diagnosis.sentences import share_text
from rnngraph.errors import InputError
from rnngraph.graph.charts.axes import AXIS, Axes
from rnngraph.graph.charts.frame import HEAD, Paper
from rnngraph.graph.charts.lag_map import LagMap
from rnngraph.graph.charts.lag_rows import LagRow, lag_rows
from rnngraph.graph.key import shades
from rnngraph.graph.one_loss.appearance import because
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.style.left import FLOOR, MARK, tone
from rnngraph.nearest import check_known
from rnngraph.trace.model import Trace

_DOTS = 70
_APART = 40.0
_HEIGHT = 240.0  # of a curve that has no map beside it


def lag_sheet(
    trace: Trace,
    *,
    states: Sequence[str] | None = None,
    seen_from: str | int | None = None,
    width: int = 900,
    theme: str = "auto",
) -> Sheet:
    """Draw the lags of a trace.

    Args:
        trace: what was recorded.
        states: rows to draw, by the names of states or layers; all of them by default.
        seen_from: the loss whose line is outlined; the last by default.
        width: of the picture, in pixels; 390 is set for a phone.
        theme: `"light"`, `"dark"`, or `"auto"`, which in SVG follows the reader's system.

    Raises:
        InputError: the trace holds no lags, no such row or loss, or an option is not one of its choices.
    """
    paper = Paper(width, theme)
    if not trace.lags:
        raise no_lags(trace)
    losses = Losses(trace)
    number = losses.number_of(seen_from)
    clock, timestep = losses.timesteps[number]
    rows = _chosen(lag_rows(losses, clock), states)
    title, why, attempt = headline_of(trace) or (f"{trace.model or 'network'}: lags", "", "")
    why = because(why, attempt)
    small = _small_print(trace, rows)
    paper.head(title, why, small)
    for place, row in enumerate(rows):
        _panels(paper, row, timestep, number=place, named=len(rows) > 1)
    paper.y += 8
    axis = axis_of(np.concatenate([row.matrix.ravel() for row in rows]), FLOOR)
    outlined = f" Outlined: the loss at t={timestep}." if any(len(row.losses) > 1 for row in rows) else ""
    paper.key(list(shades(axis.low, axis.high, axis.floor)), f"Colours stop at 1e-6; the numbers do not.{outlined}")
    return paper.finish(title, f"{why} {small}".strip())


def _chosen(rows: list[LagRow], states: Sequence[str] | None) -> list[LagRow]:
    if not rows:
        raise InputError(
            "no loss of the trace reaches a recurrence with a finite gradient, so there are no lags to draw."
        )
    if not states:
        return rows
    check_known(states, [row.name for row in rows], "there is no row {} in the picture: choose among")
    return [row for row in rows if row.name in states]


def _small_print(trace: Trace, rows: Sequence[LagRow]) -> str:
    lags = trace.lags[0]
    losses = f"{len(rows[0].losses)} of {lags.available} losses" if lags.available > len(rows[0].losses) else (
        f"{lags.available} losses" if lags.available > 1 else "one loss"
    )  # fmt: skip
    samples = len(lags.samples)
    median = f"Median of {samples} samples" if samples > 1 else "One sample"
    band = "; the band holds 10 to 90 % of them" if len(rows[0].losses) > 2 else ""
    parts = [trace.model, f"{trace.timesteps} steps", trace.dtype]
    return f"{median}, {losses}{band}. {' · '.join(part for part in parts if part)}"


def _panels(paper: Paper, row: LagRow, timestep: int, *, number: int, named: bool) -> None:
    """Draw the map and the curve of a row, beside each other where there is room."""
    name = f"{row.name}: " if named else ""
    paper.y += 14
    half = (paper.inner - _APART) / 2 if paper.wide else paper.inner
    chart = LagMap(paper, row, left=paper.margin, top=paper.y, width=half, number=number)
    many = len(row.losses) > 1
    top, tall = paper.y, 0.0
    if many:
        tall = chart.draw(f"{name}which step feels which loss", timestep)
    left = paper.margin
    if many and paper.wide:
        left = paper.margin + half + _APART
    elif many:
        top, tall = top + tall + 18, 0.0
    height = chart.bottom - chart.top if many and paper.wide else _HEIGHT
    height = float(np.clip(height, 160, 380))
    wide = half if many else paper.inner
    heading = f"{name}how much is left, by lag"
    _draw_curve(paper, row, heading, f"c{number}", left=left, top=top, width=wide, height=height)
    paper.y = top + max(tall, height + HEAD + 38)


def _draw_curve(paper: Paper, row: LagRow, heading: str, name: str, *, left: float, top: float, width: float,
               height: float) -> None:  # fmt: skip
    """Draw everything; `left` and `top` are those of the heading."""
    # Of 3,000 lags thirty may hold all that there is to see: the axis goes as far as the curves do.
    seen = np.flatnonzero((row.quantiles >= FLOOR).any(axis=0))
    lower, median, upper = row.quantiles[:, : seen[-1] + 2 if seen.size else 2]
    axes = Axes(paper, name, range(len(median)), tuple(row.quantiles), left=left + AXIS, top=top + HEAD,
                width=width - AXIS - 10, height=height)  # fmt: skip
    paper.heading(f"{name}h", heading, left, top + 6, width - 10)
    axes.grid("lag: steps back from the loss")
    axes.band(lower, upper, "k4")
    axes.curve(median, lambda decades: tone(decades).name if decades >= MARK else "line")
    for lag in np.flatnonzero(median >= axes.low).tolist() if len(median) <= _DOTS else ():
        value = float(median[lag])
        axes.dot(lag, value, tone(value).name, hint=f"lag {lag}: {share_text(value)} left")
    _flag(axes, row)


def _flag(axes: Axes, row: LagRow) -> None:
    """Mark where credit ends, or where it is ×100: of the one loss, or of the median of many."""
    grown, end, losses = row.explodes, row.end, row.losses
    whose = "median" if len(losses) > 1 else f"loss at t={losses[0]}"
    if grown is not None:
        axes.flag(grown, (f"{whose}: ×100 at lag {grown}", f"lag {grown}"), over=True)
    elif end is not None:
        texts = f"{whose}: credit ends at lag {end}", f"{whose}: ends at lag {end}", f"lag {end}"
        axes.flag(end + 0.5, texts)
