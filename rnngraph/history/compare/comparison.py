"""What differs between two networks, as data.

In: two traces, saved runs or folders. Out: a `Comparison`, whatever they do not have in common left out and named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.history.compare.match import Pair, left_out, pairs_of
from rnngraph.history.compare.norms import APART, NormsApart, first_apart, lasting, norms_apart
from rnngraph.history.compare.side import Side, side_of
from rnngraph.history.measurement import Reading
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import GateTrace


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

    def __str__(self) -> str:
        """Say in sentences what differs."""
        from rnngraph.history.compare.sentences import comparison_sentences

        return "\n".join(comparison_sentences(self))


def compared(a: object, b: object, *, horizon: int | None = None) -> Comparison:
    """Compare; see `rnngraph.compare`."""
    if horizon is not None:
        whole_number(horizon, "the horizon", least=1)
    one, two = side_of(a, "A", horizon=horizon), side_of(b, "B", horizon=horizon)
    pairs = pairs_of(one.network, two.network)
    if not pairs:
        raise InputError(
            f"the two have no recurrence in common: A has {_names(one)}, B has {_names(two)}; compare networks that "
            "share the name or the place of one."
        )
    verdicts = [{layer.name: layer.verdict for layer in side.diagnosis.by_layer} for side in (one, two)]
    return Comparison(
        one, two, tuple(_curves(one, two, pairs)),
        tuple((pair.name, verdicts[0][pair.a.name], verdicts[1][pair.b.name]) for pair in pairs),
        tuple(norms_apart(pairs)), tuple(_gates(one, two, pairs)),
        tuple(left_out(one.network, two.network, pairs)),
    )  # fmt: skip


def _curves(a: Side, b: Side, pairs: Sequence[Pair]) -> Iterator[Curves]:
    for at_input in (True, False):
        for pair in pairs:
            here = [one for one in a.measurement.readings if _is(one, pair.a.name, at_input)]
            there = [one for one in b.measurement.readings if _is(one, pair.b.name, at_input)]
            for one, two in zip(here, there, strict=False):
                name = one.name if one.name == two.name else f"{one.name} | {two.name}"
                yield Curves(name, one, two, min(one.horizon, two.horizon))


def _gates(a: Side, b: Side, pairs: Sequence[Pair]) -> Iterator[Gates]:
    for pair in pairs:
        there = {gate.gate: gate for gate in b.trace.gates if gate.recurrence == pair.b.name}
        for gate in a.trace.gates:
            if gate.recurrence == pair.a.name and gate.gate in there:
                two = (gate, there[gate.gate])
                means, saturated = ([_mean(one, key) for one in two] for key in ("mean", "saturated"))
                yield Gates(f"{pair.name}.{gate.gate}", (means[0], means[1]), (saturated[0], saturated[1]))


def _mean(gate: GateTrace, column: str) -> float:
    values: Floats = getattr(gate, column)
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _is(one: Reading, recurrence: str, at_input: bool) -> bool:
    return one.recurrence == recurrence and one.at_input == at_input


def _cut(one: Reading, other: Reading) -> Floats:
    return one.left[: min(len(one.left), len(other.left))]


def _least(one: Curves) -> float:
    return min((gain for gain in one.gains if not math.isnan(gain)), default=math.inf)


def _names(side: Side) -> str:
    return ", ".join(layer.name for layer in side.network.layers)
