"""A layer's lag curve of credit as a small chart: the median and the band, in decades of gain over the lag.

In: a `LagCurve`. Out: shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rnngraph.diagnosis.curve import LN10, LagCurve
from rnngraph.graph.style.palette import FAINT, INK, LINE
from rnngraph.render.report.chart.shapes import Box, Label, Line, Shape

CURVE_WIDTH = 300
_PLOT, _BAND, _MOST = 220, "#d1d5db", 220


def curve_shapes(curve: LagCurve, left: float, top: float, height: float) -> Iterator[Shape]:
    """Draw a curve `height` pixels tall with its axes."""
    longest = curve.longest
    lags = np.unique(np.linspace(1, longest, min(longest, _MOST)).round().astype(int))
    low, middle, high = (part[lags - 1] / LN10 for part in (curve.low, curve.median, curve.high))
    known = np.concatenate([part[np.isfinite(part)] for part in (low, middle, high)] + [np.zeros(1)])
    bottom, roof = min(math.floor(float(known.min())), -1), max(math.ceil(float(known.max())), 0)

    def x(lag: float) -> float:
        return left + 40 + (lag - 1) / max(longest - 1, 1) * _PLOT

    def y(value: float) -> float:
        return top + (roof - value) / (roof - bottom) * height

    for level in (roof, bottom):
        yield Label(left + 34, y(level) + 4, f"1e{level:+g}" if level else "1", size=10, anchor="end", fill=FAINT)
        yield Line(((x(1), y(level)), (x(longest), y(level))), stroke=LINE, width=0.5)
    wide = _PLOT / max(len(lags) - 1, 1)
    for place in np.flatnonzero(np.isfinite(low) & np.isfinite(high)).tolist():
        centre = x(int(lags[place]))
        yield Box(centre - wide / 2, y(high[place]), wide, max(y(low[place]) - y(high[place]), 0.5), _BAND)
    shown = np.flatnonzero(np.isfinite(middle)).tolist()
    if len(shown) > 1:
        yield Line(tuple((x(int(lags[place])), y(middle[place])) for place in shown), stroke=INK, width=1.6)
    yield Label(x(1), top + height + 14, "lag 1", size=10, fill=FAINT)
    yield Label(x(longest), top + height + 14, str(longest), size=10, anchor="end", fill=FAINT)
