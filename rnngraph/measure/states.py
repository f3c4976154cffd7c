"""Measure the states of one recurrence, window by window: gradients, their parts, gains, saturation.

In: `Window`s in any order. Out: a `StateTrace` a state, with columns over the recurrence's own timesteps.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.measure.recording import Array, Facts, Felt, Reduced, Window, nothing
from rnngraph.norms import all_finite, row_norms, step_norms
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
        self.norms = np.zeros((3 + len(SHARES), time))  # in all, immediate, carried, and percentiles over samples
        self.projected: Floats | None = nothing((time,)) if facts.splits_gain and facts.mask is None else None
        self.zeros, self.nonfinite = np.zeros((2, time), np.int64)
        self.activation, self.saturated = nothing((2, time))

    def take(self, window: Window) -> None:
        """Measure a window."""
        steps, kind = window.steps, self.kind
        values, total = window.values[kind], window.total.get(kind)
        columns = [values] if total is None else [values, window.immediate[kind], window.carried[kind]]
        if total is not None and total.shape[1] == 1:
            columns.append(total)
        norms = step_norms(columns)
        self.activation[steps] = norms[0] / math.sqrt(values[0].size)
        if total is not None:
            self.norms[1:3, steps] = norms[1:3]
            self._take_total(steps, total, norms[3][:, None] if len(norms) > 3 else row_norms(total))
        if window.saturated is not None and kind == "h":
            share = count(window.saturated) / (window.saturated[0].size or 1)
            if not all_finite(self.activation[steps]):
                share[np.isnan(self.activation[steps])] = np.nan
            self.saturated[steps] = share
        if self.projected is not None and window.projected is not None:
            self.projected[steps] = window.projected

    def _take_total(self, steps: slice | Integers, total: Array, norms: Floats) -> None:
        self.samples[steps] = norms
        self.zeros[steps] = count(total == 0)
        if not all_finite(norms):
            self.nonfinite[steps] = count(~np.isfinite(total))

    def take_reduced(self, reduced: Reduced) -> None:
        """Take what a source has measured."""
        self.samples, self.norms[1], self.norms[2] = reduced.samples, reduced.immediate, reduced.carried
        self.zeros, self.nonfinite, self.activation = reduced.zeros, reduced.nonfinite, reduced.activation
        self.projected = None
        if reduced.saturated is not None:
            self.saturated = reduced.saturated

    @property
    def suspicious(self) -> bool:
        """Whether a gradient ends although that of the step processed next has not: perhaps it was rounded to zero."""
        carried = self.norms[2, 1:] if self.facts.reverse else self.norms[2, :-1]
        if np.count_nonzero(self.samples) == self.samples.size:  # which is the common case, and quick
            return bool(np.count_nonzero(carried) < len(carried))
        total: Booleans = np.asarray(self.samples.any(axis=1))
        following = total[:-1] if self.facts.reverse else total[1:]
        return bool((following & (carried == 0)).any()) or not total.all()

    def trace(
        self, key: int, *, walked: bool, initial: float | None, valid: Booleans, cut: Booleans, felt: Felt | None
    ) -> StateTrace:
        """Assemble the trace; where no gradient was walked only the values are known."""
        facts = self.facts
        if walked:
            self.norms[0] = self.samples[:, 0] if facts.batch == 1 else row_norms(self.samples)
            self.norms[3:] = quantiles_of(self.samples, valid)
        found = Magnitudes.of(self.norms) if walked else Magnitudes.unobserved(self.norms.shape)
        grad, immediate, carried, quantiles = (found[k] for k in (0, 1, 2, slice(3, None)))
        known = all_finite(found.value)
        if not known:
            unknown = np.isnan(self.norms[2]) & np.isfinite(self.samples).all(axis=1)
            for part in (carried, immediate):
                part.status[unknown] = Status.UNOBSERVED
        start = Magnitudes.unobserved() if initial is None else Magnitudes.of(initial)
        if felt is not None:
            arrives = felt.total[key, self.kind]
            mark(grad, arrives[1:])
            mark(start, arrives[0])
            mark(carried, felt.carried[key, self.kind])
            mark(immediate, felt.immediate[key, self.kind])
            quantiles.status[(quantiles.status == _ZERO) & (grad.status == _UNDERFLOW)] = _UNDERFLOW
        if not known:
            quantiles.status[np.isnan(quantiles.value) & (grad.status != Status.NONFINITE)] = Status.UNOBSERVED
        return StateTrace(
            facts.states[self.kind], facts.name, facts.layer, facts.direction, self.kind, facts.cell.name, start,
            grad, immediate, carried, quantiles, *self._gains(carried, grad), self.saturated, self.activation,
            self.zeros, self.nonfinite, cut, facts.nodes[self.kind],
        )  # fmt: skip

    def _gains(self, carried: Magnitudes, grad: Magnitudes) -> tuple[Floats, Floats, Floats]:
        gains = nothing((3, self.facts.timesteps))
        here, following = (slice(1, None), slice(None, -1)) if self.facts.reverse else (slice(None, -1), slice(1, None))
        after, before = grad.value[following], carried.value[here]
        np.divide(before, after, gains[0, here])
        if self.projected is not None:
            projected = self.projected[following]
            np.log(projected / after, gains[1, here])
            np.log(before / projected, gains[2, here])
        np.copyto(gains, np.nan, where=~np.isfinite(gains))
        return gains[0], gains[1], gains[2]


def mark(magnitudes: Magnitudes, where: Booleans | np.bool_) -> None:
    """Say of zeros that they are underflows."""
    status = magnitudes.status
    status[...] = np.where((status == _ZERO) & where, _UNDERFLOW, status)


def count(flags: Array) -> Integers:
    """Count by step; a reduction of booleans over an axis is ten times slower than counting a long row."""
    if not np.count_nonzero(flags):  # of all at once, which is the common case and nearly free
        return np.zeros(len(flags), np.int64)
    if flags[0].size < 512:
        return np.asarray(flags.reshape(len(flags), -1).sum(axis=1), np.int64)
    return np.array([np.count_nonzero(row) for row in flags], np.int64)


def quantiles_of(samples: Floats, valid: Booleans) -> Floats:
    """Compute the 10th, 50th and 90th percentile over valid samples, (3, T), of one (1, T); NaN where none is valid."""
    if samples.shape[1] == 1:
        return samples.T if np.count_nonzero(valid) == valid.size else np.where(valid, samples.T, np.nan)
    ordered, sizes = np.sort(np.where(valid.T, samples, np.inf), axis=1), valid.sum(axis=0)
    return np.stack([of_ordered(ordered, share, count=sizes) for share in SHARES])
