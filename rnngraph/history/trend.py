"""Where a row of measurements leads: opening, closing or steady, with hysteresis.

In: training steps, and what is left at one lag, in decades. Out: a `Trend`. The rule:
*a measurement votes by the change over the last ten up to it, along a robust line through them. It is opening or
closing if it is half a decade, a tenth of what is lost and four times the scatter from one to the next, whichever is
most; half of that is enough to stay in a trend. Three votes alike in a row make a trend, or change it. What is not a
number does not vote, and more than all counts as all.*
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.slope import theil_sen
from rnngraph.trace.magnitudes import Floats, Integers

OPENING, CLOSING, STEADY = "opening", "closing", "steady"
WINDOW = 10  # measurements that a vote looks at
IN_A_ROW = 3  # votes that make a trend, and the fewest measurements for a vote
ENTER = 0.5  # decades over the window
STAY = 0.5  # of that is enough for the trend that there is
SHARE = 0.1  # of what is lost: from 1e-20 a change of half a decade is nothing
SCATTER = 4.0  # times the scatter from one to the next: what noise makes of a level must not be taken for a change
NORMAL = 1.4826 / math.sqrt(2)  # from the median distance of differences to a standard deviation
ALL = 0.0  # decades that more than all counts as: a gradient that grows further reaches no further
NOTHING = -400.0  # decades that an exact zero counts as, below every number that a gradient can have


@dataclass(frozen=True, slots=True)
class Trend:
    """What the last measurements say, and since when. `trend` is None where it is too early to tell."""

    trend: str | None
    since: int  # index of the measurement at which it began
    votes: tuple[str | None, ...]  # of every measurement; None where it has none
    trends: tuple[str | None, ...]  # after every measurement
    leaving: int = 0  # how many of the last lie above (or, as a negative number, below) the level of the window


def trend_of(steps: Sequence[int], gains: Sequence[float]) -> Trend:
    """Follow a row of measurements from the first to the last."""
    x, y = np.array(steps, np.float64), np.clip(np.array(gains, np.float64), NOTHING, ALL)
    known = np.flatnonzero(~np.isnan(y))
    votes: list[str | None] = []
    trends: list[str | None] = []
    recent: list[str] = []
    trend: str | None
    trend, since = None, 0
    for place in range(len(y)):
        until = known[: np.searchsorted(known, place, side="right")]
        seen = until[-WINDOW:]
        voting = not np.isnan(y[place]) and len(seen) >= IN_A_ROW
        votes.append(_vote(x[seen], y[seen], trend) if voting else None)
        if votes[-1] is not None:
            recent = [*recent, votes[-1]][-IN_A_ROW:]
            if recent == [votes[-1]] * IN_A_ROW and votes[-1] != trend:
                trend, since = votes[-1], _began(y, until, votes[-1])
        trends.append(trend)
    return Trend(trend, since, tuple(votes), tuple(trends), _leaving(y[known[-WINDOW:]]))


def _vote(x: Floats, y: Floats, trend: str | None) -> str:
    change = theil_sen(x, y) * (x[-1] - x[0])
    jumps = np.diff(y)
    scatter = NORMAL * float(np.median(np.abs(jumps - np.median(jumps))))
    limit = max(_least_change(float(np.median(y))), SCATTER * scatter)
    towards = OPENING if change > 0 else CLOSING
    return towards if abs(change) >= (limit * STAY if trend == towards else limit) else STEADY


def _least_change(level: float) -> float:
    return max(ENTER, SHARE * -level)


def _leaving(y: Floats) -> int:
    """Count the last measurements that lie on one side of the others, further than a change must be."""
    if not len(y):
        return 0
    level = float(np.median(y))
    sides = np.where(np.abs(y - level) >= _least_change(level), np.sign(y - level), 0).astype(int)[::-1]
    others = np.flatnonzero(sides != sides[0])
    return int(sides[0] * (others[0] if others.size else 0))


def _began(y: Floats, known: Integers, trend: str) -> int:
    """Find where a trend began: at the turning point of its window, or where the level was first as it is now."""
    seen = known[-WINDOW:]
    if trend != STEADY:
        far = y[seen].min() if trend == OPENING else y[seen].max()
        return int(seen[y[seen] == far][-1])
    level = float(np.median(y[known[-IN_A_ROW:]]))
    away = np.flatnonzero(np.abs(y[known] - level) >= _least_change(level))
    return int(known[away[-1] + 1]) if away.size and away[-1] + 1 < len(known) else int(known[0])
