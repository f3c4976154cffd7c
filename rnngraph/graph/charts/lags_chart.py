"""The picture of the lags: for every row of the network its map and its curve, under the three sentences.

In: a trace with lags, and what is asked for. Out: a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnngraph.diagnosis.diagnose import judge, network_seen
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.network import Path
from rnngraph.diagnosis.one_loss import Losses, Walk
from rnngraph.diagnosis.sentences import percent, share_text
from rnngraph.errors import InputError
from rnngraph.graph.charts.axes import AXIS, HEAD, Axes
from rnngraph.graph.charts.lag_map import LagMap
from rnngraph.graph.charts.lag_rows import LagRow, lag_rows
from rnngraph.graph.charts.overlay import Curve, Panel, credit_panel, draw_panels
from rnngraph.graph.one_loss.appearance import because
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.paper import Paper, shades
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.style.left import FLOOR, MARK, end_of, tone
from rnngraph.nearest import check_known
from rnngraph.trace.model import Trace

_DOTS = 70
_TOGETHER = "All losses together: of what there is a step back. "
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
    network = network_seen(trace)
    title, why, attempt = headline(judge(network)) if network else (f"{trace.model or 'network'}: lags", "", "")
    why = because(why, attempt)
    small = _small_print(trace, rows)
    paper.head(title, why, small)
    if network is not None and not states:
        draw_panels(paper, [_together(path) for path in network.paths if path.reach is not None])
    for place, row in enumerate(rows):
        _panels(paper, row, timestep, number=place, named=len(rows) > 1)
    paper.y += 8
    axis = axis_of(np.concatenate([row.matrix.ravel() for row in rows]), FLOOR)
    outlined = f" Outlined: the loss at t={timestep}." if any(len(row.losses) > 1 for row in rows) else ""
    said = f"{_TOGETHER}Colours stop at 1e-6; the numbers do not.{outlined}"
    paper.key(list(shades(axis.low, axis.high, axis.floor)), said)
    return paper.finish(title, f"{why} {small}".strip())


def _together(path: Path) -> Panel:
    """Show all losses together at an end of the way, and how far they reach."""
    far = f"lag {path.reach}{' at least' if path.whole else ''}"
    curve = Curve(path.left, "ink", {}, "")
    panel = credit_panel(f"{path.name}, all losses together", [curve], at_input=path.input is not None, horizon=0)
    return replace(panel, flag=(max(path.reach or 0, 1), f"{percent(MARK)} or more to {far}"))


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
    many, walk = len(row.losses) > 1, row.seen_from(timestep)
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
    heading = f"{name}how much is left of the loss at t={timestep}, by lag"
    if walk is not None:
        _draw_curve(paper, row, walk, heading, f"c{number}", left=left, top=top, width=wide, height=height)
    paper.y = top + max(tall, height + HEAD + 38)


def _draw_curve(paper: Paper, row: LagRow, walk: Walk, heading: str, name: str, *, left: float, top: float,
                width: float, height: float) -> None:  # fmt: skip
    """Draw a loss over the band of all; `left` and `top` are those of the heading."""
    # Of 3,000 lags thirty may hold all that there is to see: the axis goes as far as the curves do.
    own = np.full(row.band.shape[1], np.nan)
    own[walk.lags] = walk.decades
    curves = np.stack([*row.band, own])
    seen = np.flatnonzero((curves >= FLOOR).any(axis=0))
    lower, upper, own = curves[:, : seen[-1] + 2 if seen.size else 2]
    axes = Axes(paper, name, range(len(own)), tuple(curves), left=left + AXIS, top=top + HEAD,
                width=width - AXIS - 10, height=height)  # fmt: skip
    paper.heading(f"{name}h", heading, left, top + 6, width - 10)
    axes.grid("lag: steps back from the loss")
    axes.band(lower, upper, "k4")
    axes.curve(own, lambda decades: tone(decades).name if decades >= MARK else "line")
    for lag in np.flatnonzero(own >= axes.low).tolist() if len(own) <= _DOTS else ():
        value = float(own[lag])
        axes.dot(lag, value, tone(value).name, hint=f"lag {lag}: {share_text(value)} left")
    what, place = end_of(walk.decades, cut=walk.cut)
    lag = int(walk.lags[place])
    if what == "explodes":
        axes.flag(lag, (f"this loss: ×100 at lag {lag}", f"lag {lag}"), over=True)
    elif what == "dies":
        axes.flag(lag + 0.5, (f"this loss's credit ends at lag {lag}", f"this loss: ends at lag {lag}", f"lag {lag}"))
    elif what == "unknown":
        axes.flag(lag + 0.5, (f"this loss was followed to lag {lag} only", f"followed to lag {lag}", f"lag {lag}"))
