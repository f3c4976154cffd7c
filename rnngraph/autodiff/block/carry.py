"""The gradients of a block's states under way, a row a loss, each row and sample with a power of two of its own.

A float64 ends at 1e-308 and the gradient of one loss may fall to 1e-2000. So numbers are kept in bands: an array in
band b stands for itself times 2^(512 b). Rows move to another band when their norm leaves the range in which squares
are exact. Which rows hold anything is a run, `low` to `high`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.norms import row_norms

BAND = 512  # bits
LOG_BAND = BAND * np.log(2)
_SMALL, _LARGE = 2.0 ** -(BAND // 2), 2.0 ** (BAND // 2)


@dataclass(slots=True)
class Carry:
    """Gradients by kind of state, (rows, N, ·); `band` (rows, N) is None while all is in band 0."""

    states: list[Array]
    low: int = 0
    high: int = 0
    band: Array | None = None

    @staticmethod
    def empty(rows: int, samples: int, widths: list[int]) -> Carry:
        """Start with nothing under way."""
        return Carry([np.empty((rows, samples, width)) for width in widths])

    def holds(self) -> list[bool]:
        """Say of every kind of state whether anything is under way."""
        return [bool(state[self.low : self.high].any()) for state in self.states]

    def enter(self, low: int, rows: Array, *, band: Array | int = 0, kind: int = 0) -> None:
        """Add rows, (count, N, ·), to those from `low` on; `band` is a number, or one a row and sample."""
        high = low + len(rows)
        if not len(rows):
            return
        self._extend(low, high)
        mine = self.states[kind][low:high]
        if self.band is None and isinstance(band, int) and band == 0:
            mine += rows
            return
        if self.band is None:
            self.band = np.zeros(self.states[0].shape[:2], np.int64)
        own, other = self.band[low:high], np.broadcast_to(np.asarray(band), rows.shape[:2])
        if np.array_equal(own, other):
            mine += rows
            return
        here = np.logical_or.reduce([state[low:high].any(axis=-1) for state in self.states])
        there = rows.any(axis=-1)
        top = np.where(here & there, np.maximum(own, other), np.where(there, other, own))
        for state in self.states:
            state[low:high] = _lifted(state[low:high], own - top)
        mine += _lifted(rows, other - top)
        own[...] = top

    def _extend(self, low: int, high: int) -> None:
        """Zero the rows that come in; outside the run they hold anything."""
        if self.low >= self.high:
            self.low = self.high = low
        for first, last in ((low, min(self.low, high)), (max(self.high, low), high)):
            if first < last:
                for state in self.states:
                    state[first:last] = 0
                if self.band is not None:
                    self.band[first:last] = 0
        for first, last in ((self.high, low), (high, self.low)):  # a gap between the two runs
            if first < last:
                for state in self.states:
                    state[first:last] = 0
                if self.band is not None:
                    self.band[first:last] = 0
        self.low, self.high = min(low, self.low), max(high, self.high)

    def measure(self) -> list[Array]:
        """Give ln of the norm of every state, (rows, N), and bring rows that leave the range into another band."""
        run = slice(self.low, self.high)
        norms = [row_norms(state[run]) for state in self.states]
        logs = [np.log(norm) for norm in norms]
        if self.band is not None:
            for log in logs:
                log += self.band[run] * LOG_BAND
        largest = norms[0] if len(norms) == 1 else np.maximum.reduce(norms)
        if not (largest.min() > _SMALL and largest.max() < _LARGE):
            self._settle(run, largest)
        return logs

    def _settle(self, run: slice, largest: Array) -> None:
        outside = (largest > 0) & np.isfinite(largest) & ~((largest > _SMALL) & (largest < _LARGE))
        if not outside.any():
            return
        if self.band is None:
            self.band = np.zeros(self.states[0].shape[:2], np.int64)
        shift = np.where(outside, np.round(np.frexp(largest)[1] / BAND).astype(np.int64), 0)
        for state in self.states:
            state[run] = _lifted(state[run], -shift)
        self.band[run] += shift


def _lifted(rows: Array, bands: Array) -> Array:
    """Multiply rows by 2^(512 bands); what falls out of the range of a float64 beside its row's largest is lost."""
    if not bands.any():
        return rows
    return np.asarray(np.ldexp(rows, np.clip(bands * BAND, -4096, 4096).astype(np.int32)[..., None]))
