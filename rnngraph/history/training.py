"""What a training did to the reach: the measurements of a folder in a row, and where the row leads.

In: a folder of traces. Out: a `History`, as data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rnngraph.checks import whole_number
from rnngraph.history.course import History, Series, steps_of
from rnngraph.history.folder import folder_of, read_folder
from rnngraph.history.measurement import Measurement
from rnngraph.history.trend import trend_of


def history_of(folder: object, *, horizon: int | None = None) -> History:
    """Read a folder; see `rnngraph.history`."""
    if horizon is not None:
        whole_number(horizon, "the horizon", least=1)
    place = folder_of(folder)
    rows, skipped = read_folder(place, horizon=horizon)
    names = list(dict.fromkeys(one.name for row in rows for one in row.readings))
    series = tuple(_series(name, rows, horizon) for name in names)
    counting = [one for one in series if one.counts and one.horizon]
    gains = tuple(min(_known(one.gains[place] for one in counting), default=math.nan) for place in range(len(rows)))
    last = min(counting, key=_last_gain, default=None)
    return History(
        str(place), rows, skipped, series, 0 if last is None else last.horizon, gains,
        trend_of(steps_of(rows), gains), horizon,
    )  # fmt: skip


def _series(name: str, rows: Sequence[Measurement], asked: int | None) -> Series:
    readings = tuple(row.reading(name) for row in rows)
    there = [one for one in readings if one is not None]
    horizons = sorted(one.horizon for one in there if one.horizon)
    # The median: a single measurement whose losses sit at the start must not shorten the lag for all others.
    horizon = horizons[(len(horizons) - 1) // 2 if asked is None else -1] if horizons else 0
    gains = tuple(math.nan if one is None else one.gain(horizon) for one in readings)
    return Series(
        name, there[0].at_input, any(one.counts for one in there), horizon, readings, gains,
        trend_of(steps_of(rows), gains),
    )  # fmt: skip


def _known(values: Iterator[float]) -> Iterator[float]:
    return (value for value in values if not math.isnan(value))


def _last_gain(series: Series) -> float:
    return next(_known(iter(series.gains[::-1])), math.inf)
