"""Two networks beside each other as data: curves, verdicts, norms, gates, and what was left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnngraph.history.compare.norms_apart import APART, NormsApart, first_apart, lasting
from rnngraph.history.compare.side import Side
from rnngraph.history.measurement import Reading
from rnngraph.trace.magnitudes import Floats


@dataclass(frozen=True, slots=True)
class Curves:
    """The lag curves of one place over each other."""

    name: str
    a: Reading
    b: Reading
    horizon: int  # the lag at which the two are set against each other; 0 where they have none in common

    @property
    def longest(self) -> int:
        """The longest lag that both have."""
        known = np.flatnonzero(~(np.isnan(_cut(self.a, self.b)) | np.isnan(_cut(self.b, self.a))))
        return int(known[-1]) + 1 if known.size else 0

    @property
    def gains(self) -> tuple[float, float]:
        """What is left at the horizon, in decades."""
        return self.a.gain(self.horizon), self.b.gain(self.horizon)

    @property
    def reaches(self) -> tuple[int | None, int | None]:
        """The reach of both, no further than the longest lag that both have."""
        a, b = (None if one.reach is None else min(one.reach, self.longest) for one in (self.a, self.b))
        return a, b

    @property
    def parts(self) -> int | None:
        """The lag from which on they differ by a factor of three; None where they do not."""
        with np.errstate(invalid="ignore"):  # of two exact zeros
            apart = np.abs(_cut(self.a, self.b) - _cut(self.b, self.a))
        known = np.flatnonzero(~np.isnan(apart))
        place = lasting(apart[known] >= APART)
        return None if place is None else int(known[place]) + 1


@dataclass(frozen=True, slots=True)
class Gates:
    """One gate of a pair: its mean value and the share of saturated units, of A and of B; NaN where unknown."""

    name: str
    mean: tuple[float, float]
    saturated: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two networks beside each other. `curves` are of the inputs that both are fed, and of all pairs of recurrences."""

    a: Side
    b: Side
    curves: tuple[Curves, ...]
    verdicts: tuple[tuple[str, str, str], ...]  # the name of a pair, its verdict in A and in B
    norms: tuple[NormsApart, ...]
    gates: tuple[Gates, ...]
    left_out: tuple[str, ...]

    @property
    def deciding(self) -> Curves | None:
        """The place that the networks are told apart by: of those that count, where least is left in either."""
        counting = [one for one in self.curves if (one.a.counts or one.b.counts) and one.horizon]
        return min(counting or [one for one in self.curves if one.horizon], key=_least, default=None)

    @property
    def parting(self) -> NormsApart | None:
        """Where the norms part first on the walk back."""
        return first_apart(self.norms)


def _cut(one: Reading, other: Reading) -> Floats:
    return one.left[: min(len(one.left), len(other.left))]


def _least(one: Curves) -> float:
    return min((gain for gain in one.gains if not math.isnan(gain)), default=math.inf)
