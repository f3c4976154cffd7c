"""What is left of every loss at every step of one layer, in the order in which the layer's steps were processed.

In: the `LagTrace`s of the states that one step carries together, and their direction. Out: a `Credit`, whose reader
need know of no direction, no copies and no cuts: a lag counts steps that were taken, and no pair crosses a cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import REVERSE, LagTrace, Trace

_CHUNK = 1 << 16  # steps whose norms are joined at a time
_GAINS = 400_000  # norms that are looked at together


@dataclass(frozen=True)
class Credit:
    """Norms of `∂L_s/∂(h, c, ...)_k` of B samples, S losses and T steps, natural logarithms; -inf is an exact zero."""

    log: Floats  # (B, S, T); NaN where nothing was measured
    arrivals: Integers  # (B, S) the step at which each loss first arrives
    copied: Booleans  # (B, T) the step into t copied the state
    severed: Booleans  # (B, T) nothing leads back over the step into t
    reverse: bool
    alive: Booleans  # (B, S) the loss arrives in the recurrence, as a finite number

    @property
    def start(self) -> Floats:
        """The norms where the losses arrive, (B, S)."""
        return np.take_along_axis(self.log, self.arrivals[:, :, None], axis=2)[..., 0]

    @property
    def seeds(self) -> int:
        """Count the losses that arrive, a sample at a time."""
        return int(self.alive.sum())

    @property
    def nonfinite(self) -> int:
        """Count the norms that are not finite."""
        return int((self.log == np.inf).sum())

    def timestep(self, step: int) -> int:
        """Give the timestep of a step in processing order."""
        return self.log.shape[2] - 1 - step if self.reverse else step

    def taken_steps(self, sample: int) -> Integers:
        """Find the steps of a sample that were taken, so that they count as lags."""
        return np.flatnonzero(~self.copied[sample])

    @cached_property
    def walked(self) -> Integers:
        """Count the steps that each loss walks back over, as far as a cut, (B, S)."""
        found = np.empty(self.arrivals.shape, np.int64)
        for sample, arrivals in enumerate(self.arrivals):
            taken, pieces = ~self.copied[sample], np.cumsum(self.severed[sample])
            begins = np.searchsorted(pieces, pieces[arrivals])
            found[sample] = np.cumsum(taken)[arrivals] - np.cumsum(taken)[begins] + taken[begins]
        return found

    @cached_property
    def reached(self) -> Booleans:
        """Find the samples that a loss reaches, (B, S): those in which the step where it arrives is the latest.

        In others that step is padding, over which a state is copied and its gradient with it: lag 0 is further back.
        """
        first = np.empty(self.arrivals.shape, np.int64)
        for sample, arrivals in enumerate(self.arrivals):
            steps = np.where(self.copied[sample], -1, np.arange(len(self.copied[sample])))
            first[sample] = np.maximum.accumulate(steps)[arrivals]
        there = self.alive & (self.walked > 0)
        latest = np.where(there, first, -1).max(axis=0, initial=-1)
        return np.asarray(there & (first == latest))

    @cached_property
    def unused(self) -> Booleans:
        """Find the states that no loss reads, not even one that arrives there, (B, T): a mask discards what they are.

        Nothing is lost on a way through them, for there is none.
        """
        found = np.zeros(self.copied.shape, bool)
        for sample, start in enumerate(self.start):
            steps = np.unique(self.arrivals[sample, start == -np.inf])
            found[sample, steps] = ~(self.log[sample][:, steps] > -np.inf).any(axis=0)
        return found

    def by_lag(self) -> Iterator[tuple[slice, Floats]]:
        """Yield ln of the norms at each lag from 1 on, (B, S, L), some lags at a time; NaN where there is no pair."""
        samples, losses, steps = self.log.shape
        width = max(_GAINS // max(samples * losses, 1), 1)
        for first in range(1, steps, width):
            lags = np.arange(first, min(first + width, steps))
            yield slice(first - 1, int(lags[-1])), self.at_lags(lags)

    def at_lags(self, lags: Integers) -> Floats:
        """Give ln of the norms at some lags, (B, S, L)."""
        found = [self.logs(sample, lags) for sample in range(len(self.log))]
        return np.array(found).reshape(*self.log.shape[:2], len(lags))

    def logs(self, sample: int, lags: Integers, *, losses: slice | Integers = slice(None)) -> Floats:
        """Give ln of the norm of a sample's losses at each lag, (S, L); NaN where there is no such pair."""
        log, arrivals = self.log[sample, losses], self.arrivals[sample, losses]
        steps, pieces = self.taken_steps(sample), np.cumsum(self.severed[sample])
        index = np.cumsum(~self.copied[sample])[arrivals][:, None] - 1 - lags
        if not steps.size:
            return np.full(index.shape, np.nan)
        step = steps[np.maximum(index, 0)]
        there = (index >= 0) & (pieces[step] == pieces[arrivals][:, None]) & self.alive[sample, losses][:, None]
        found = np.take_along_axis(log, step, axis=1)
        return np.where(there & (found != np.inf), found, np.nan)


def lags_together(trace: Trace) -> dict[str, tuple[LagTrace, ...]]:
    """Gather the lags of the states that one step carries together, by the name of their recurrence."""
    recurrences = {state.name: state.recurrence for state in trace.states}
    found: dict[str, tuple[LagTrace, ...]] = {}
    for lags in trace.lags:
        name = recurrences[lags.state]
        found[name] = (*found.get(name, ()), lags)
    return found


def credit_of(traces: Sequence[LagTrace], direction: str) -> Credit:
    """Join the lags of states that one step carries together, and put them in processing order."""
    first, log = traces[0], _joined([trace.log[:, :, 1:] for trace in traces])  # the initial state is no step
    copied, severed, reverse = first.copied, first.severed, direction == REVERSE
    if reverse:
        log, copied, severed = log[..., ::-1], copied[:, ::-1], severed[:, ::-1]
        arrivals = log.shape[2] - 1 - np.minimum.reduce([trace.arrivals for trace in traces])
    else:
        arrivals = np.maximum.reduce([trace.arrivals for trace in traces])
    start = np.take_along_axis(log, arrivals[:, :, None], axis=2)[..., 0]
    return Credit(log, arrivals, copied, severed, reverse, np.isfinite(start))


def credit_at_input(log: Floats, states: Credit) -> Credit:
    """Put the lags of an input, (B, S, T) by timestep, beside those of the recurrence that reads it.

    Where a loss arrives is where it arrives in the recurrence; an input that it passes by there is a zero.
    """
    return replace(states, log=log[..., ::-1] if states.reverse else log)


def log_norm(log: Floats) -> Floats:
    """Give the log norm over axis 0, samples or states, of log norms: of those that are known, NaN where none is."""
    return log_sum(2 * log, 0) / 2


def log_sum(log: Floats, axis: int | tuple[int, ...]) -> Floats:
    """Give ln of a sum of numbers, of those that are known; NaN where none is."""
    known = ~np.isnan(log)
    return np.where(known.any(axis=axis), np.logaddexp.reduce(np.where(known, log, -np.inf), axis=axis), np.nan)


def _joined(logs: Sequence[Floats]) -> Floats:
    if len(logs) == 1:
        return logs[0]
    joined: Floats = np.empty_like(logs[0])
    for first in range(0, joined.shape[2], _CHUNK):
        steps = slice(first, first + _CHUNK)
        joined[:, :, steps] = log_norm(np.stack([log[:, :, steps] for log in logs]))
    return joined
