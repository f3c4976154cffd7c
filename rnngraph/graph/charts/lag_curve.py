"""The lag curve: how much is left by lag, the middle of all losses and a band from 10 to 90 % of them.

In: a `LagRow` and a place on a paper. Out: shapes and curves on the paper.
"""

from __future__ import annotations

import numpy as np

from rnngraph.diagnosis.sentences import share_text
from rnngraph.graph.charts.axes import AXIS, Axes
from rnngraph.graph.charts.frame import HEAD, Paper
from rnngraph.graph.charts.lag_rows import LagRow
from rnngraph.graph.style.left import MARK, tone

_DOTS = 70


def draw_curve(paper: Paper, row: LagRow, heading: str, name: str, *, left: float, top: float, width: float,
               height: float) -> None:  # fmt: skip
    """Draw everything; `left` and `top` are those of the heading."""
    median = row.median
    axes = Axes(paper, name, range(len(median)), tuple(row.quantiles), left=left + AXIS, top=top + HEAD,
                width=width - AXIS - 10, height=height)  # fmt: skip
    paper.heading(f"{name}h", heading, left, top + 6, width - 10)
    axes.grid("lag: steps back from the loss")
    axes.band(row.quantiles[0], row.quantiles[2], "k4")
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
