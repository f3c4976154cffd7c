"""Measure the states of one recurrence, window by window: gradients, their parts, gains, saturation.

In: `Window`s in any order. Out: a `StateTrace` a state, with columns over the recurrence's own timesteps.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.measure.recording import Array, Facts, Felt, Reduced, Window, nothing
from rnngraph.norms import row_norms
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes, Status
from rnngraph.trace.model import StateTrace
from rnngraph.trace.quantile import of_ordered

_ZERO, _UNDERFLOW = int(Status.ZERO), int(Status.UNDERFLOW)
SHARES = (0.1, 0.5, 0.9)


class StateColumns:
    """The columns of one state under way."""

    def __init__(self, facts: Facts, kind: str) -> None:
        """Start with nothing observed."""
        time = facts.timesteps
        self.facts, self.kind = facts, kind
        self.samples = np.zeros((time, facts.batch))
        self.immediate, self.carried = np.zeros(time), np.zeros(time)
        self.projected: Floats | None = nothing((time,)) if facts.splits_gain and facts.mask is None else None
        self.zeros, self.nonfinite = np.zeros(time, np.int64), np.zeros(time, np.int64)
        self.activation, self.saturated = nothing((time,)), nothing((time,))

    def take(self, window: Window) -> None:
        """Measure a window."""
        steps, kind = window.steps, self.kind
        values = window.values[kind].reshape(len(window.values[kind]), -1)
        self.activation[steps] = row_norms(values) / math.sqrt(values.shape[1])
        if window.saturated is not None and kind == "h":
            share = count(window.saturated.reshape(len(values), -1)) / (window.saturated[0].size or 1)
            share[np.isnan(self.activation[steps])] = np.nan
            self.saturated[steps] = share
        total = window.total.get(kind)
        if total is None:
            return
        flat = total.reshape(len(total), -1)
        self.samples[steps] = norms = row_norms(total)
        self.zeros[steps] = count(flat == 0)
        if not np.isfinite(norms).all():
            self.nonfinite[steps] = count(~np.isfinite(flat))
        for column, part in ((self.immediate, window.immediate[kind]), (self.carried, window.carried[kind])):
            column[steps] = row_norms(part.reshape(len(part), -1))
        if self.projected is not None and window.projected is not None:
            self.projected[steps] = window.projected

    def take_reduced(self, reduced: Reduced) -> None:
        """Take what a source has measured."""
        self.samples, self.immediate, self.carried = reduced.samples, reduced.immediate, reduced.carried
        self.zeros, self.nonfinite, self.activation = reduced.zeros, reduced.nonfinite, reduced.activation
        self.projected = None
        if reduced.saturated is not None:
            self.saturated = reduced.saturated

    @property
    def suspicious(self) -> bool:
        """Whether a gradient ends although that of the step processed next has not: perhaps it was rounded to zero."""
        total: Booleans = np.asarray(self.samples.any(axis=1))
        following = total[:-1] if self.facts.reverse else total[1:]
        carried = self.carried[1:] if self.facts.reverse else self.carried[:-1]
        return bool((following & (carried == 0)).any()) or not total.all()

    def trace(
        self, *, initial: float | None, valid: Booleans, cut: Booleans, felt: Felt | None, key: int
    ) -> StateTrace:
        """Assemble the trace of a state whose gradients were walked."""
        totals = row_norms(self.samples)
        grad, carried = Magnitudes.of(totals), Magnitudes.of(self.carried)
        immediate = Magnitudes.of(self.immediate)
        if not math.isfinite(self.carried.sum()):
            unknown = np.isnan(self.carried) & np.isfinite(self.samples).all(axis=1)
            for part in (carried, immediate):
                part.status[unknown] = Status.UNOBSERVED
        start = Magnitudes.unobserved() if initial is None else Magnitudes.of(initial)
        if felt is not None:
            arrives = felt.total[key, self.kind]
            mark(grad, arrives[1:])
            mark(start, arrives[0])
            mark(carried, felt.carried[key, self.kind])
            mark(immediate, felt.immediate[key, self.kind])
        quantiles = Magnitudes.of(quantiles_of(self.samples, valid))
        if felt is not None:
            quantiles.status[(quantiles.status == _ZERO) & (grad.status == _UNDERFLOW)] = _UNDERFLOW
        if not math.isfinite(quantiles.value.sum()):
            quantiles.status[np.isnan(quantiles.value) & (grad.status != Status.NONFINITE)] = Status.UNOBSERVED
        gains = self._gains(carried, totals)
        return self._assemble(start, (grad, immediate, carried, quantiles), gains, cut)

    def unwalked(self, cut: Booleans) -> StateTrace:
        """Assemble the trace of a state of which only the values are known."""
        time = self.facts.timesteps
        grad, immediate, carried = (Magnitudes.unobserved((time,)) for _ in range(3))
        quantiles = Magnitudes.unobserved((len(SHARES), time))
        gains = (nothing((time,)), nothing((time,)), nothing((time,)))
        return self._assemble(Magnitudes.unobserved(), (grad, immediate, carried, quantiles), gains, cut)

    def _assemble(
        self,
        initial: Magnitudes,
        columns: tuple[Magnitudes, Magnitudes, Magnitudes, Magnitudes],
        gains: tuple[Floats, Floats, Floats],
        cut: Booleans,
    ) -> StateTrace:
        facts = self.facts
        return StateTrace(
            facts.states[self.kind], facts.name, facts.layer, facts.direction, self.kind, facts.cell.name, initial,
            *columns, *gains, self.saturated, self.activation, self.zeros, self.nonfinite, cut, facts.nodes[self.kind],
        )  # fmt: skip

    def _gains(self, carried: Magnitudes, totals: Floats) -> tuple[Floats, Floats, Floats]:
        gain, by_activation, by_weights = (nothing((self.facts.timesteps,)) for _ in range(3))
        here, following = (slice(1, None), slice(None, -1)) if self.facts.reverse else (slice(None, -1), slice(1, None))
        after = totals[following]
        ratio = carried.value[here] / after
        gain[here] = np.where((after > 0) & np.isfinite(ratio), ratio, np.nan)
        if self.projected is not None:
            projected = self.projected[following]
            by_activation[here], by_weights[here] = np.log(projected / after), np.log(carried.value[here] / projected)
            for part in (by_activation, by_weights):
                part[~np.isfinite(part)] = np.nan
        return gain, by_activation, by_weights


def mark(magnitudes: Magnitudes, where: Booleans | np.bool_) -> None:
    """Say of zeros that they are underflows."""
    status = magnitudes.status
    status[...] = np.where((status == _ZERO) & where, _UNDERFLOW, status)


def count(flags: Array) -> Integers:
    """Count by row; a reduction of booleans over an axis is ten times slower than counting a long row."""
    if not np.count_nonzero(flags):  # of all at once, which is the common case and nearly free
        return np.zeros(len(flags), np.int64)
    if flags.shape[1] < 512:
        return np.asarray(flags.sum(axis=1), np.int64)
    return np.array([np.count_nonzero(row) for row in flags], np.int64)


def quantiles_of(samples: Floats, valid: Booleans) -> Floats:
    """Compute the 10th, 50th and 90th percentile over valid samples, (3, T); NaN where no sample is valid."""
    usable = valid.T
    if samples.shape[1] == 1:
        return np.repeat(np.where(usable, samples, np.nan).T, len(SHARES), axis=0)
    if not usable.all():
        ordered, sizes = np.sort(np.where(usable, samples, np.inf), axis=1), usable.sum(axis=1)
        return np.stack([of_ordered(ordered, share, count=sizes) for share in SHARES])
    ordered, last = np.sort(samples, axis=1), samples.shape[1] - 1
    found = np.empty((len(SHARES), len(samples)))
    for place, share in enumerate(SHARES):
        low = int(share * last)
        high, weight = min(low + 1, last), share * last - low
        found[place] = ordered[:, low]
        if weight:
            found[place] += weight * (ordered[:, high] - ordered[:, low])
    return found
