"""What is left of one loss, walked back from where it enters: the numbers behind every view that is seen from one loss.

In: a trace with lags, and which loss. Out: `OneLoss`, a `Walk` a row of a picture. The gradient of one loss cannot look
healthy by accident, as the sum over all losses can, of which each step hears its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnngraph.diagnosis.credit import Credit, credit_of, lags_together, log_norm
from rnngraph.diagnosis.curve import LN10
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import LagTrace, RecurrenceTrace, Trace
from rnngraph.trace.quantile import quantile

LAST, TOTAL = "last", "total"  # words for a loss: the one whose credit can travel furthest; none, but the sum of all
_INITIAL = -1  # the timestep of an initial state, which is column 0 of the logarithms


@dataclass(frozen=True)
class Walk:
    """One row: the share of a loss that is left at every step, in the order in which the gradient walks back.

    100 % is the gradient of the row's layer where the loss arrives in it, over all of its states; in another recurrence
    (an encoder) it is that of the layer that the loss enters, so that both are of one currency. The median of the
    samples that have the loss.
    """

    name: str
    recurrence: RecurrenceTrace
    states: tuple[str, ...]
    steps: Integers  # (K,) timesteps
    lags: Integers  # (K,) steps taken since the loss entered, in its own recurrence and in this
    decades: Floats  # (K,) log10 of what is left; -inf an exact zero, NaN not measured
    initial: float  # likewise, in the initial state, a step further; NaN also where the walk is cut
    cut: bool  # the walk ends at a declared cut

    def over_time(self) -> Floats:
        """Lay what is left out over the timesteps of the recurrence; NaN where nothing was walked."""
        left = np.full(self.recurrence.timesteps, np.nan)
        left[self.steps] = self.decades
        return left

    def factor(self, position: int) -> float:
        """Give what a step back, from the one at `position`, keeps; NaN where it is not known."""
        if position + 1 >= len(self.steps) or not math.isfinite(self.decades[position]):
            return math.nan
        return float(10 ** (self.decades[position + 1] - self.decades[position]))


@dataclass(frozen=True)
class OneLoss:
    """A loss, and what is left of it in every row, topmost layer last."""

    timestep: int
    clock: int  # the clock of the recurrence that it enters
    samples: int  # of how many samples the median is
    joint: bool  # it reads many steps at once
    split: bool  # a row a state, not a row a layer
    walks: tuple[Walk, ...]

    @property
    def downwards(self) -> list[Walk]:
        """The rows from the top: of the recurrence that the loss enters, the topmost layer first, `h` before `c`."""
        return sorted(self.walks, key=lambda walk: (walk.recurrence.clock != self.clock, -walk.recurrence.layer))


class Losses:
    """The losses of a trace that can be looked from."""

    def __init__(self, trace: Trace) -> None:
        """Take the lags of a trace.

        Raises:
            InputError: the trace holds none.
        """
        if not trace.lags or not trace.lags[0].losses.size:
            raise InputError(
                "the trace holds no gradient of a single loss to look from: "
                f"{'none could be measured' if trace.lags else 'record it with lags=True'}; "
                f"{TOTAL!r} shows the sum of all."
            )
        self.trace = trace
        self._lags = lags_together(trace)
        self._recurrences = [one for one in trace.recurrences if one.name in self._lags]

    @property
    def timesteps(self) -> tuple[tuple[int, int], ...]:
        """The clock and the timestep of every loss that was measured, as the rows of the lags are ordered."""
        first = self.trace.lags[0]
        return tuple(zip(first.clocks.tolist(), first.losses.tolist(), strict=True))

    def furthest(self) -> int:
        """Find the loss whose credit can travel furthest: the last one; in a layer of two directions the middle one."""
        return max(range(len(self.timesteps)), key=self._room)

    def number_of(self, wanted: str | int | None) -> int:
        """Find the loss that is wanted: the one at a timestep, or else the one whose credit can travel furthest.

        Raises:
            InputError: there is none at this timestep, or it was not measured.
        """
        return self.at(wanted) if isinstance(wanted, int) else self.furthest()

    def at(self, timestep: int) -> int:
        """Find the loss at a timestep; of several recurrences' losses the one that can travel furthest.

        Raises:
            InputError: there is no such loss, or it was not measured.
        """
        here = [number for number, (_, t) in enumerate(self.timesteps) if t == timestep]
        if here:
            return max(here, key=self._room)
        known = sorted({t for _, t in self.timesteps})
        near = [f"t={t}" for t in sorted(sorted(known, key=lambda t: abs(t - timestep))[:3])]
        listed = f"is at {near[0]}" if len(near) == 1 else f"are at {', '.join(near)}"
        measured, available = len(self.timesteps), self.trace.lags[0].available
        others = (
            f"; of {available} losses {measured} were measured, and rnngraph trace --losses all, or "
            f"LagOptions(including=[{timestep}]), measures others"
        )
        few = others if measured < available else ""
        raise InputError(f"no loss at t={timestep} was measured: the nearest {listed}{few}.")

    def seen_from(self, number: int, *, split: bool | None = None) -> OneLoss:
        """Walk back from a loss.

        Args:
            number: its place in `timesteps`.
            split: a row a state, not a row a layer; by default where there is one layer alone.
        """
        clock, timestep = self.timesteps[number]
        if split is None:
            split = len({one.layer for one in self.trace.recurrences}) == 1
        own = self._reference(number, clock)
        walks: list[Walk] = []
        for one in self._recurrences:
            credit = self._credits[one.name]
            alive = np.flatnonzero(credit.reached[:, number])
            if not alive.size:
                continue
            start, waited = credit.start[:, number], 0
            if one.clock != clock and (entered := own.get(one.layer, next(iter(own.values()), None))) is not None:
                if len(entered.start) == len(start):
                    start = entered.start[:, number]
                waited = int(entered.walked[entered.reached[:, number].argmax(), number])
            for states in [(lags,) for lags in self._lags[one.name]] if split else [self._lags[one.name]]:
                walks.append(self._walk(one, states, credit, number, alive, start[alive], waited))
        samples = max(int(one.reached[:, number].sum()) for one in self._credits.values())
        return OneLoss(timestep, clock, samples, self.trace.lags[0].joint, split, tuple(walks))

    @cached_property
    def _credits(self) -> dict[str, Credit]:
        return {one.name: credit_of(self._lags[one.name], one.direction) for one in self._recurrences}

    def _reference(self, number: int, clock: int) -> dict[int, Credit]:
        """Give the layers that a loss enters, topmost first."""
        found = {
            one.layer: self._credits[one.name]
            for one in self._recurrences
            if one.clock == clock and self._credits[one.name].reached[:, number].any()
        }
        return dict(sorted(found.items(), reverse=True))

    def _room(self, number: int) -> tuple[int, int, int]:
        """Count the steps that a loss can walk: in all rows, and in the row where they are fewest."""
        steps = [
            int(one.walked[:, number].max(where=one.reached[:, number], initial=0)) for one in self._credits.values()
        ]
        return sum(steps), min(steps), number

    def _walk(
        self,
        one: RecurrenceTrace,
        lags: tuple[LagTrace, ...],
        credit: Credit,
        number: int,
        alive: Integers,
        start: Floats,
        waited: int,
    ) -> Walk:
        """Walk back over one row; `waited` steps were taken in the recurrence that the loss entered."""
        longest = int(alive[credit.walked[alive, number].argmax()])
        positions = _positions(credit, longest, number)
        steps = np.array([credit.timestep(int(position)) for position in positions])
        cut = bool(credit.severed[longest, 1 : positions[-1] + 1].any())  # a walk may end at padding, too
        places = np.append(steps, _INITIAL)
        joined = log_norm(np.stack([trace.log[alive, number][:, places + 1] for trace in lags]))
        with np.errstate(invalid="ignore"):
            entered = np.where(np.isfinite(start), start, np.nan)  # not in a sample that hears others' losses alone
            left = np.where((joined == np.inf) | _cut_off(credit, number, alive, places), np.nan, joined)
            left -= entered[:, None]
        name = lags[0].state if len(lags) == 1 else one.name
        states, lag = tuple(trace.state for trace in lags), np.arange(len(steps)) + waited
        *decades, initial = (quantile(left, 0.5, axis=0) / LN10).tolist()
        return Walk(name, one, states, steps, lag, np.array(decades), math.nan if cut else initial, cut)


def _cut_off(credit: Credit, number: int, samples: Integers, steps: Integers) -> Booleans:
    """Say which steps lie behind a cut of a sample itself, (samples, steps): its loss ends there, and is not zero."""
    pieces = np.cumsum(credit.severed[samples], axis=1)
    own = np.take_along_axis(pieces, credit.arrivals[samples, number][:, None], axis=1)
    ordered = pieces[:, ::-1] if credit.reverse else pieces
    return np.asarray(np.where(steps == _INITIAL, own > 0, ordered[:, steps] < own))


def _positions(credit: Credit, sample: int, number: int) -> Integers:
    """List the steps that a loss walks back over, the one where it arrives first; copied ones are left out."""
    arrival = int(credit.arrivals[sample, number])
    pieces = np.cumsum(credit.severed[sample])
    steps = credit.taken_steps(sample)
    return np.asarray(steps[(steps <= arrival) & (pieces[steps] == pieces[arrival])][::-1])
