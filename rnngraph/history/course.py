"""What a training did to the reach: the measurements of a folder in a row, where the row leads, and what it says.

In: a folder of traces. Out: a `History`, as data, and its sentences, of which parts are those of the diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnngraph.checks import whole_number
from rnngraph.diagnosis.sentences import counted, percent
from rnngraph.history.folder import Skipped, folder_of, read_folder
from rnngraph.history.measurement import Measurement, Reading
from rnngraph.history.trend import CLOSING, IN_A_ROW, OPENING, STEADY, Trend, trend_of

FEWEST = 2 * IN_A_ROW - 1  # measurements until a trend can be told


@dataclass(frozen=True, slots=True)
class Series:
    """One place in the network through the training, at a lag that all measurements share."""

    name: str
    at_input: bool
    counts: bool
    horizon: int  # 0 where nothing was measured
    readings: tuple[Reading | None, ...]  # None where a measurement lacks the place
    gains: tuple[float, ...]  # decades at the horizon; NaN where it is not known
    trend: Trend

    @property
    def reaches(self) -> tuple[int | None, ...]:
        """The reach by measurement."""
        return tuple(None if one is None else one.reach for one in self.readings)


@dataclass(frozen=True, slots=True)
class History:
    """The measurements of a training. Gains are those of the place where least is left: learning needs them all."""

    folder: str
    measurements: tuple[Measurement, ...]
    skipped: tuple[Skipped, ...]
    series: tuple[Series, ...]
    horizon: int  # of the place where least is left in the end
    gains: tuple[float, ...]
    trend: Trend
    asked: int | None  # the lag that the task was said to need

    @property
    def steps(self) -> tuple[int, ...]:
        """The training steps."""
        return tuple(one.step or 0 for one in self.measurements)

    def __repr__(self) -> str:
        """Say where it leads and what is so now, and who was passed by."""
        return "\n".join(history_sentences(self))


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
        trend_of([one.step or 0 for one in rows], gains), horizon,
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
        trend_of([one.step or 0 for one in rows], gains),
    )  # fmt: skip


def _known(values: Iterator[float]) -> Iterator[float]:
    return (value for value in values if not math.isnan(value))


def _last_gain(series: Series) -> float:
    return next(_known(iter(series.gains[::-1])), math.inf)


def history_sentences(history: History) -> Iterator[str]:
    """Say where the training leads, what is so now, and what was passed by."""
    yield trend_sentence(history)
    yield now_sentence(history)
    yield from skipped_sentences(history)


def now_sentence(history: History) -> str:
    """Say what is so at the last measurement."""
    last = history.measurements[-1]
    return f"Now, at step {last.step}: {last.said}"


def skipped_sentences(history: History) -> Iterator[str]:
    """Name every file that was passed by."""
    for one in history.skipped:
        yield f"Passed by: {one.name}: {one.reason.rstrip('.')}."


def trend_sentence(history: History) -> str:
    """Say in one sentence what the training does to the reach."""
    trend, last = history.trend.trend, history.measurements[_last(history)]
    if trend is None:
        known = sum(not math.isnan(gain) for gain in history.gains)
        if known >= FEWEST:
            return f"Undecided: {counted(known, 'measurement')}, and no {IN_A_ROW} in a row that agree. {_now(history)}"
        seen = counted(known, "measurement")
        return f"Too early to tell: {seen} with credit, and a trend takes {FEWEST}. {_now(history)}"
    first = history.measurements[history.trend.since]
    since = f"since step {first.step}"
    if trend == STEADY:
        return f"Steady {since}{_before(history)}{_leaving(history)}. {_now(history)}"
    word = {OPENING: "Opening", CLOSING: "Closing"}[trend]
    left = percent(history.gains[history.trend.since]), percent(history.gains[_last(history)])
    return (
        f"{word} {since}: the reach went from {reach_text(first)} to {reach_text(last)}, "
        f"and what is left at lag {history.horizon} from {left[0]} to {left[1]}."
    )


def _before(history: History) -> str:
    """Say what had become of the reach before it was steady."""
    start, first = history.measurements[0], history.measurements[history.trend.since]
    went = reach_text(start), reach_text(first)
    return f", after the reach went from {went[0]} to {went[1]}" if went[0] != went[1] else ""


def _leaving(history: History) -> str:
    """Say what a trend does not say yet."""
    number = history.trend.leaving
    lie = "measurement lies" if abs(number) == 1 else f"{abs(number)} measurements lie"
    return f", but the last {lie} {'above' if number > 0 else 'below'}" if number else ""


def reach_text(one: Measurement) -> str:
    """Say how far one measurement reaches."""
    if one.reach is None:
        return "no lag"
    return f"lag {one.reach}{' at least' if one.whole else ''}"


def _now(history: History) -> str:
    last = _last(history)
    if math.isnan(history.gains[last]):
        return "No credit could be measured."
    left = percent(history.gains[last])
    return f"It reaches {reach_text(history.measurements[last])}; {left} is left at lag {history.horizon}."


def _last(history: History) -> int:
    """Find the last measurement of which it is known what is left; the last of all where there is none."""
    known = [place for place, gain in enumerate(history.gains) if not math.isnan(gain)]
    return known[-1] if known else len(history.gains) - 1
