"""The course of a training as data: measurements in a row, and every place of the network through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.history.folder import Skipped
from rnngraph.history.measurement import Measurement, Reading
from rnngraph.history.trend import Trend


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
class Course:
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
        return steps_of(self.measurements)


def steps_of(measurements: Sequence[Measurement]) -> tuple[int, ...]:
    """Give the training steps."""
    return tuple(one.step or 0 for one in measurements)
