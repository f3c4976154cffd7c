"""Which entries a table of timesteps has: one a step, and two for the steps that a long sequence leaves out.

In come the number of timesteps and the steps asked for, out come entries that know which steps they stand for,
and which of their values each shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from rnngraph.graph.steps import Ranges, Steps, parse_steps
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status

SHOWN_WHOLE = 40  # a terminal has more room for steps than a picture has
SHOWN_OF_AN_END = 12


class Pick(Enum):
    """Which of its steps' values an entry shows."""

    ONLY = auto()
    LARGEST = auto()
    SMALLEST = auto()
    INITIAL = auto()  # no step at all: the state before the first


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table for the timesteps from `first` up to, but without, `stop`."""

    first: int
    stop: int
    pick: Pick = Pick.ONLY

    @property
    def folded(self) -> bool:
        """Whether the entry stands for steps that are not shown."""
        return self.pick in (Pick.LARGEST, Pick.SMALLEST)


def entries_of(timesteps: int, steps: Steps) -> Iterator[Entry]:
    """Give the entries for `steps`, and two for every gap between them: the largest and the smallest values.

    Raises:
        InputError: the steps cannot be read, or lie outside the trace.
    """
    ranges = _default_ranges(timesteps) if steps is None else parse_steps(steps, timesteps)
    previous = None
    for first, stop in ranges:
        if previous is not None:
            yield Entry(previous, first, Pick.LARGEST)
            yield Entry(previous, first, Pick.SMALLEST)
        yield from (Entry(step, step + 1) for step in range(first, stop))
        previous = stop


def _default_ranges(timesteps: int) -> Ranges:
    if timesteps <= SHOWN_WHOLE:
        return ((0, timesteps),)
    return ((0, SHOWN_OF_AN_END), (timesteps - SHOWN_OF_AN_END, timesteps))


def pick_magnitude(magnitudes: Magnitudes, entry: Entry) -> Magnitudes:
    """Choose the magnitude that an entry shows: its step's own, or the extreme of those known.

    Zero counts as the smallest of all, then what underflowed; non-finite is the largest of all.
    """
    part = magnitudes[entry.first : entry.stop]
    if not entry.folded:
        return part[0]
    order = np.where(part.status == Status.OK, part.log10, 0.0)
    order[part.status == Status.ZERO] = -np.inf
    order[part.status == Status.UNDERFLOW] = -1e9
    order[part.status == Status.NONFINITE] = np.inf
    seen = np.flatnonzero(part.status != Status.UNOBSERVED)
    if not seen.size:
        return part[0]
    extreme = np.argmax if entry.pick is Pick.LARGEST else np.argmin
    return part[seen[extreme(order[seen])]]


def pick_number(numbers: Floats, entry: Entry) -> float:
    """Choose the number that an entry shows, likewise; NaN where none is known."""
    part = numbers[entry.first : entry.stop]
    known = part[~np.isnan(part)]
    if not known.size:
        return float("nan")
    return float(known.min() if entry.pick is Pick.SMALLEST else known.max())
