"""The gradients of a block's states under way, a row a loss, each row and sample with a power of two of its own.

A float64 ends at 1e-308 and the gradient of one loss may fall to 1e-2000. So numbers are kept in bands: an array in
band b stands for itself times 2^(512 b). Rows move to another band when their norm leaves the range in which squares
are exact. The states of one row share a band, unless one is far smaller. Which rows hold anything is a run, `low` to
`high`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.norms import row_norms

BAND = 512  # bits
LOG_BAND = BAND * np.log(2)
_SMALL, _LARGE = 2.0 ** -(BAND // 2), 2.0 ** (BAND // 2)
_APART = 2.0**-600  # of a state beside another, from which on it has a band of its own
_RUN_SMALL, _RUN_LARGE = 2.0**-400, 2.0**400  # of the norms of rows while no band changes


@dataclass(slots=True)
class Carry:
    """Gradients by kind of state, (rows, N, ·); `bands` (rows, N) by kind are None while all of it is in band 0."""

    states: list[Array]
    low: int = 0
    high: int = 0
    bands: list[Array | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin in band 0."""
        self.bands = self.bands or [None] * len(self.states)

    @staticmethod
    def empty(rows: int, samples: int, widths: Iterable[int]) -> Carry:
        """Start with nothing under way."""
        return Carry([np.empty((rows, samples, width)) for width in widths])

    def holds(self) -> list[bool]:
        """Say of every kind of state whether anything is under way."""
        return [bool(state[self.low : self.high].any()) for state in self.states]

    def alike(self) -> bool:
        """Say whether all states of a row are in one band."""
        if len(self.states) == 1 or all(band is None for band in self.bands):
            return True
        run = slice(self.low, self.high)
        first, *others = [self._kept(kind)[run] for kind in range(len(self.states))]
        return all(np.array_equal(first, one) for one in others)

    def enter(self, low: int, rows: Array, *, band: Array | int = 0, kind: int = 0) -> None:
        """Add rows, (count, N, ·), to those from `low` on; `band` is a number, or one a row and sample."""
        high = low + len(rows)
        if not len(rows):
            return
        self.extend(low, high)
        mine, own = self.states[kind][low:high], self.bands[kind]
        if own is None and isinstance(band, int) and band == 0:
            mine += rows
            return
        own, other = self._kept(kind)[low:high], np.broadcast_to(np.asarray(band), rows.shape[:2])
        if np.array_equal(own, other):
            mine += rows
            return
        here, there = mine.any(axis=-1), rows.any(axis=-1)
        top = np.where(here & there, np.maximum(own, other), np.where(there, other, own))
        mine[...] = lifted(mine, own - top)
        mine += lifted(rows, other - top)
        own[...] = top

    def _kept(self, kind: int) -> Array:
        """Give the bands of a kind, which leave 0 now."""
        own = self.bands[kind]
        if own is None:
            own = self.bands[kind] = np.zeros(self.states[kind].shape[:2], np.int64)
        return own

    def extend(self, low: int, high: int) -> None:
        """Let the run reach over some rows. Those that come in are zero; outside the run rows hold anything."""
        if self.low >= self.high:
            self.low = self.high = low
        # beside the run, and in a gap between the two runs
        for first, last in (
            (low, min(self.low, high)), (max(self.high, low), high), (self.high, low), (high, self.low)
        ):  # fmt: skip
            if first < last:
                for column in (*self.states, *self.bands):
                    if column is not None:
                        column[first:last] = 0
        self.low, self.high = min(low, self.low), max(high, self.high)

    def measure(self) -> list[Array]:
        """Give ln of the norm of every state, (rows, N), and bring rows that leave the range into another band."""
        run = slice(self.low, self.high)
        norms = [row_norms(state[run]) for state in self.states]
        logs = [np.log(norm) for norm in norms]
        for log, band in zip(logs, self.bands, strict=True):
            if band is not None:
                log += band[run] * LOG_BAND
        if len(norms) > 1 and not self.alike():
            for kind, norm in enumerate(norms):
                self._settle(kind, bands_away(norm))
            return logs
        largest = norms[0] if len(norms) == 1 else np.maximum.reduce(norms)
        if not (largest.min() > _RUN_SMALL and largest.max() < _RUN_LARGE):  # others on their way move too
            together = bands_away(largest)
            for kind in range(len(norms)):
                self._settle(kind, together)
                norms[kind] = np.ldexp(norms[kind], -BAND * together)
        for kind, norm in enumerate(norms) if len(norms) > 1 else ():
            if norm.min() < _APART:
                self._settle(kind, bands_away(norm, _APART))
        return logs

    def _settle(self, kind: int, shift: Array) -> None:
        moved = np.nonzero(shift)
        if moved[0].size:
            state, own = self.states[kind][self.low : self.high], self._kept(kind)[self.low : self.high]
            state[moved] = lifted(state[moved], -shift[moved])
            own[moved] += shift[moved]


def bands_away(norms: Array, smallest: float = _SMALL) -> Array:
    """Give the number of bands by which norms below the smallest, or above the largest, are away from one."""
    outside = (norms > 0) & np.isfinite(norms) & ~((norms > smallest) & (norms < _LARGE))
    return np.where(outside, np.round(np.frexp(norms)[1] / BAND).astype(np.int64), 0)


def lifted(rows: Array, bands: Array) -> Array:
    """Multiply rows by 2^(512 bands); what falls out of the range of a float64 beside its row's largest is lost."""
    if not bands.any():
        return rows
    return np.asarray(np.ldexp(rows, np.clip(bands * BAND, -4096, 4096).astype(np.int32)[..., None]))


def by_band(rows: Array, bands: Array | None) -> Iterator[tuple[int, Array]]:
    """Take rows (..., N, ·) apart by the band of each row and sample; all are in band 0 where there are no bands."""
    if bands is None:
        yield 0, rows
        return
    for band in np.unique(bands).tolist():
        part = np.where((bands == band)[..., None], rows, 0)
        if part.any():
            yield band, part


def too_far(norms: list[Array]) -> int:
    """Give the number of the last step, from 1 on, after which a row must change its band; 0 for none."""
    largest = norms[0] if len(norms) == 1 else np.maximum.reduce(norms)
    if largest.min() > _RUN_SMALL and largest.max() < _RUN_LARGE and all(one.min() > _APART for one in norms[1:]):
        return 0
    far = (largest > 0) & np.isfinite(largest) & ~((largest > _RUN_SMALL) & (largest < _RUN_LARGE))
    for one in norms if len(norms) > 1 else ():
        far |= (one > 0) & (one < _APART)
    found = np.flatnonzero(far.any(axis=(1, 2)))
    return int(found[-1]) + 1 if found.size else 0
