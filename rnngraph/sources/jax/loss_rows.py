"""Losses of single steps walked back, many together.

In: a recording and rows, (clock, timestep). Out: norms by sample at every state and input, told to whoever measures.
Every row is walked from a large size, and once more from a size near one where it grows beyond a float32: what is told
is right down to about 1e-68 of the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import FED, See
from rnngraph.norms import row_norms
from rnngraph.sources.jax.sites import Site
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

_BYTES = 2**28  # of what is kept of a chunk of rows
_ALL = (-1, -1)  # the row of all losses together
_SIGNIFICANT = 1e-3  # of the largest; below it two ways differ by rounding
_TINY = 1e-30  # of gradients; below it a float32 has lost digits of the whole
_LARGE = 100  # binary orders above one that a walk begins at, to get further down
_LARGEST = 120  # what a float32 holds, with room for what grows


class Rows:
    """One walk of losses over all scans of a recording."""

    def __init__(self, recording: JaxRecording) -> None:
        """Look at what there is to walk."""
        self.recording, self.shares = recording, recording.shares
        self.axes = tuple(layout.axes for layout in recording.layouts)
        self.told: dict[tuple[int, str], Floats] = {}

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk all rows back, a chunk at a time, and tell the norms."""
        size = sum(one.size * one.dtype.itemsize for found in self.recording.found.values() for one in found["values"])
        count = max(1, min(len(rows), _BYTES // max(4 * size, 1)))
        count = -(-len(rows) // -(-len(rows) // count))  # chunks of one size, so that one program serves all
        for low in range(0, len(rows), count):
            chunk = rows[low : low + count]
            padded = [_ALL, *chunk, *[chunk[-1]] * (count - len(chunk))]
            self._chunk(padded, len(chunk), low, samples, see)

    def _chunk(
        self, rows: Sequence[tuple[int, int]], real: int, low: int, samples: dict[int, Integers], see: See
    ) -> None:
        bits = np.array([self._bits(row) for row in rows])
        found = self._logs(rows, np.minimum(bits + _LARGE, _LARGEST))
        if any(np.isnan(one).any() for one in found.values()):  # it grew beyond all numbers: begin smaller
            for key, again in self._logs(rows, np.minimum(bits, _LARGEST)).items():
                found[key] = np.where(np.isnan(found[key]), again, found[key])
        for (number, kind, initial), logs in found.items():
            chosen = samples[self.recording.layouts[number].batch]
            for t in range(logs.shape[1]):
                see(number, kind, -1 if initial else t, low, logs[1 : real + 1, t][:, chosen])
            if kind != FED and not initial and not self.recording.steps:
                self._compare(number, kind, logs[0])

    def _compare(self, number: int, kind: str, logs: Floats) -> None:
        """Note how far all losses together are off the walk of the whole loss, where that is not small."""
        site = self.recording.sites[number]
        known = row_norms(self.recording.column(site, "total", site.kinds.index(kind)))
        with np.errstate(all="ignore"):
            found = np.exp(logs)
            largest = np.max(known, where=np.isfinite(known), initial=0.0)
            usable = np.isfinite(known) & np.isfinite(found) & (known > _SIGNIFICANT * largest)
            if usable.any() and largest > _TINY:
                self.recording.note_difference(float(np.abs(found[usable] / known[usable] - 1).max()))

    def _bits(self, row: tuple[int, int]) -> int:
        """Give the binary order that brings what enters to about one."""
        norms = self.shares.norms
        entering = (
            [one.max(initial=0) for one in norms.values()] if row == _ALL else [norms[row[0]][row[1]].max(initial=0)]
        )
        size = float(max(entering))
        return -int(np.frexp(size)[1]) if np.isfinite(size) and size > 0 else 0

    def _logs(self, rows: Sequence[tuple[int, int]], bits: Integers) -> dict[tuple[int, str, bool], Floats]:
        """Give logs of norms (rows, T, N) by scan and kind; of first states with one step."""
        found: dict[tuple[int, str, bool], Floats] = {}
        for number, own in self._walked(rows, bits).items():
            site = self.recording.sites[number]
            fed = bool(self.recording.facts[number].fed)
            parts: list[tuple[str, bool, Any]] = []
            for place, kind in enumerate(site.kinds):
                parts += [(kind, True, own["initial"][place][:, None]), (kind, False, own["states"][place])]
            parts += [(FED, False, one) for one in own["read"].values() if fed]
            for kind, initial, norms in parts:
                wide = np.asarray(norms, np.float64)
                wide = wide[:, ::-1] if site.flipped and not initial else wide
                with np.errstate(divide="ignore"):
                    log = np.log(np.where(np.isfinite(wide), wide, np.nan)) - bits[:, None, None] * np.log(2)
                key = number, kind, initial
                found[key] = np.logaddexp(2 * found[key], 2 * log) / 2 if key in found else log
        return found

    def _walked(self, rows: Sequence[tuple[int, int]], bits: Integers) -> Any:
        from rnngraph.sources.jax.scan_recording import typed

        recording = self.recording
        scales = np.ldexp(1.0, bits)
        if recording.steps:
            seeds = np.zeros((len(rows), len(recording.steps[0])), recording.steps[0].dtype)
            for k, row in enumerate(rows):
                seeds[k, slice(None) if row == _ALL else row[1]] = scales[k]
            return recording.programs.step_rows(recording.arrays, seeds, self.axes)
        factors = {}
        for site in recording.sites:
            own = np.zeros((len(rows), site.length))
            for k, (clock, t) in enumerate(rows):
                if (clock, t) == _ALL:
                    own[k] = scales[k]
                elif clock == recording.clocks[site.number]:
                    own[k, _place(site, t)] = scales[k]
            factors[site.number] = typed(site, own)
        return recording.programs.rows(recording.arrays, self.shares.at, factors, self.axes)


def _place(site: Site, t: int) -> int:
    """Give the place of a timestep in the order of a scan's steps."""
    return site.length - 1 - t if site.flipped else t
