"""What a picture that is seen from one loss knows beside its boxes: rows, the time axis, marks and strips.

It stands in `Graph.seen`, and hangs off no position or colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from rnngraph.diagnosis.one_loss import Walk
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import REVERSE, RecurrenceTrace

Way = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of the time axis on which the recurrences of one clock run."""

    clock: int
    name: str  # "encoder"; "" where the axis has but one
    start: int  # the first position
    timesteps: int

    @property
    def stop(self) -> int:
        """The position behind the last one."""
        return self.start + self.timesteps


@dataclass(frozen=True)
class SeenRow:
    """One row of boxes: a layer in one direction, or one of its states."""

    name: str
    note: str
    recurrence: RecurrenceTrace
    segment: Segment
    states: tuple[str, ...]
    kind: str  # of its one state, "" where several are joined
    walk: Walk | None  # of the loss; None where it does not come
    saturated: Floats  # (own timesteps,) share of units, NaN unknown
    gate: str = ""  # what keeps this state from step to step, where a picture says it in place of the factor
    gate_mean: Floats | None = None  # (own timesteps,)
    plain: bool = False  # no factor is written: another state of the cell carries

    @property
    def way(self) -> Way:
        """Where the gradient walks to."""
        return "right" if self.recurrence.direction == REVERSE else "left"

    @cached_property
    def left(self) -> Floats:
        """What is left by timestep, as its walk has it; NaN also where that does not go."""
        return np.full(self.recurrence.timesteps, np.nan) if self.walk is None else self.walk.over_time()

    @cached_property
    def lags(self) -> Integers:
        """The lag by timestep; -1 where the walk does not go."""
        found = np.full(self.recurrence.timesteps, -1)
        if self.walk is not None:
            found[self.walk.steps] = self.walk.lags
        return found

    @property
    def reached(self) -> Booleans:
        """At which timesteps the walk goes there."""
        return self.lags >= 0

    @property
    def initial(self) -> float:
        """What is left in the initial state; NaN where the walk does not go there."""
        return math.nan if self.walk is None else self.walk.initial


@dataclass(frozen=True, slots=True)
class Mark:
    """A flag and its line: where less than 1 % is left, where ×100 is passed, or that neither is.

    `edges` are (row, edge): the line stands in that row at that edge of the time axis, which is half a position.
    """

    text: str
    short: str  # the same where there is little room
    way: Way
    edges: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip under the graph with a bar a position: what is left, in logarithms, or another quantity, linear."""

    name: str
    note: str
    values: Floats
    amount: bool  # another quantity than what is left of this loss: grey and linear
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A loss, and what the picture says of it."""

    timestep: int
    position: int  # on the axis
    samples: int
    why: str
    small: str  # the grey third line
    rows: tuple[SeenRow, ...]  # topmost first
    segments: tuple[Segment, ...]
    bears: Booleans  # (positions,) a loss stands there
    marks: tuple[Mark, ...]
    strips: tuple[Strip, ...]
    floor: float  # decades under which all is drawn alike
    handovers: tuple[tuple[int, int], ...]  # rows: from the recurrence that the loss enters to one that begins it
    width: int
    theme: str
    own: bool  # the steps were chosen by the reader, so that the picture may be wider than asked for
