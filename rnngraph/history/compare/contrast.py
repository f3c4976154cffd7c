"""Two networks beside each other: curves, verdicts, norms, gates, what was left out, and what they say in sentences.

Parts of the sentences are those of the diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.network import own_path
from rnngraph.diagnosis.sentences import counted, percent, times
from rnngraph.history.compare.norms_apart import APART, NormsApart, first_apart, lasting
from rnngraph.history.compare.side import Side
from rnngraph.history.course import trend_sentence
from rnngraph.history.measurement import Reading
from rnngraph.trace.magnitudes import Floats

NOT_IN_COMMON = "Not in common"


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
class Comparison:
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

    def __repr__(self) -> str:
        """Say in sentences what differs."""
        return "\n".join(comparison_sentences(self))


def _cut(one: Reading, other: Reading) -> Floats:
    return one.left[: min(len(one.left), len(other.left))]


def _least(one: Curves) -> float:
    return min((gain for gain in one.gains if not math.isnan(gain)), default=math.inf)


def comparison_sentences(comparison: Comparison) -> Iterator[str]:
    """Say who reaches further, where they part, what is so of each, and what was left out."""
    yield reach_sentence(comparison)
    yield from spread_sentence(comparison)
    yield parting_sentence(comparison)
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        yield f"{letter}: {side.measurement.said}"
        if side.history is not None:
            yield f"{letter}, the training: {trend_sentence(side.history)}"
    yield from (f"{NOT_IN_COMMON}: {one}." for one in comparison.left_out)


def reach_sentence(comparison: Comparison) -> str:
    """Say which of the two reaches further, and what is left of each."""
    one = comparison.deciding
    if one is None:
        return "No credit of both could be measured, so nothing is said of how far they reach."
    (far, near), (a, b) = one.reaches, one.gains
    left = f"{_left(a)} is left at lag {one.horizon} in A, and {_left(b)} in B"
    if far is None or near is None or far == near:
        return f"{'A and B' if far is None else f'Both reach {_lag(one, far)}'}: {left}."
    first, last = (("B", near), ("A", far)) if near > far else (("A", far), ("B", near))
    return f"{first[0]} reaches further: {_lag(one, first[1])}, where {last[0]} reaches lag {last[1]}; {left}."


def spread_sentence(comparison: Comparison) -> Iterator[str]:
    """Say whether the two are further apart than single losses and samples of each are, where there are several."""
    one = comparison.deciding
    if one is None:
        return
    a, b = (_spread(*pair, one.horizon) for pair in ((comparison.a, one.a), (comparison.b, one.b)))
    words = [(percent(low), percent(high)) for low, high in (a, b)]
    said = [f"from {low} to {high}" for low, high in words if low != high]
    if len(said) == 2:
        apart = "further apart than that" if a[1] < b[0] or b[1] < a[0] else "no further apart than that"
        yield f"Of single losses and samples it is {said[0]} in A, and {said[1]} in B: the two are {apart}."


def _spread(side: Side, one: Reading, lag: int) -> tuple[float, float]:
    """Give between what 10 and 90 % of losses and samples lie, in decades."""
    paths = {path.name: path for path in (*map(own_path, side.network.layers), *side.network.paths)}
    low, high = paths[one.name].sums.spread(lag)
    return low / LN10, high / LN10


def parting_sentence(comparison: Comparison) -> str:
    """Say in which layer and at which step the norms part."""
    parting = comparison.parting
    if not comparison.norms:
        return "They have no state in common whose norms could be set against each other."
    if parting is None:
        return f"The norms of all losses together stay within {times(APART)} of each other on the whole way back."
    return (
        f"On the way back the norms of all losses together part first in {parting.recurrence}, in {parting.state}, "
        f"{_where(parting)}: from there on {beside(parting.by, 'what A has')}."
    )


def beside(by: float, whole: str) -> str:
    """Say how much B has, so many decades above A, of the whole that A has."""
    return "A has nothing" if by == math.inf else f"B has {times(by)} of {whole}"


def _where(parting: NormsApart) -> str:
    a, b = parting.timesteps
    at = f"at t = {a}" if a == b else f"at t = {a} of A and {b} of B"
    return f"{at}, {counted(parting.parts or 0, 'step')} before the last"


def _left(decades: float) -> str:
    return "what is not known" if math.isnan(decades) else percent(decades)


def _lag(one: Curves, reach: int) -> str:
    return f"lag {reach}{' at least' if reach and reach == one.longest else ''}"
