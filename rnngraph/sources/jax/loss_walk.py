"""Losses of single steps walked back, many together, from the last scan to the first.

In: a recording and rows, (clock, timestep). Out: norms by sample at every state and input, told to whoever measures.
What of the loss enters at a step is known without having passed another scan: what a step emits enters at that step,
the last states at the last step, and a sum or a buffer in the carry at every step, because each adds to it. Every row
is walked from a large size, and once more from a size near one where it grows beyond a float32: what is told is right
down to about 1e-68 of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.measure.recording import FED, See
from rnngraph.norms import norm, row_norms
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.running.read_together import reads_together
from rnngraph.sources.jax.running.samples import host, sample_norms
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

_BYTES = 2**28  # of what is kept of a chunk of rows
_ALL = (-1, -1)  # the row of all losses together
_SIGNIFICANT = 1e-3  # of the largest; below it two ways differ by rounding
_TINY = 1e-30  # of gradients; below it a float32 has lost digits of the whole
_LARGE = 100  # binary orders above one that a walk begins at, to get further down
_LARGEST = 120  # what a float32 holds, with room for what grows

Row = tuple[int, int]
Found = dict[tuple[int, str, bool], Floats]


class LossWalk:
    """What of the loss enters at every scan, and walks of it over all scans of a recording."""

    def __init__(self, recording: JaxRecording) -> None:
        """Ask what enters in one pass; losses that the user gives for every step are taken instead."""
        self.recording, self.sites, self.difference = recording, recording.sites, 0.0
        self.chosen: list[Integers] = []  # samples, by scan
        self.shares: Mapping[int, Mapping[int, Any]] = {}
        self.norms: dict[int, Floats] = {}  # of what enters, by clock, (T, N)
        self.joint = False  # all that enters is one loss
        if recording.steps:
            self.norms = _given(recording)
            return
        self.shares = recording.programs.shares(recording.arrays, recording.results)
        for clock in dict.fromkeys(recording.clocks):
            own = [site for site in self.sites if recording.clocks[site.number] == clock]
            entering = [_entering(recording, site, self.shares[site.number]) for site in own]
            self.norms[clock] = np.asarray(np.hypot.reduce(entering, axis=0))
        entered = {clock: one for clock, one in self.norms.items() if np.count_nonzero(one.any(axis=1)) > 1}
        joint = (reads_together(recording, clock, one, _entering) for clock, one in entered.items())
        self.joint = bool(entered) and all(joint)  # as two towers that are both pooled are one loss

    def pull(self, rows: Sequence[Row], samples: Mapping[int, Integers], see: See) -> None:
        """Walk all rows back, a chunk at a time, and tell the norms of samples, which are chosen by size of batch."""
        self.chosen = [samples[layout.batch] for layout in self.recording.layouts]
        count = max(1, min(len(rows), _BYTES // max(self._bytes(), 1)))
        count = -(-len(rows) // -(-len(rows) // count))  # chunks of one size, so that one program serves all
        for low in range(0, len(rows), count):
            chunk = rows[low : low + count]
            found = self._in_range([_ALL, *chunk, *[chunk[-1]] * (count - len(chunk))])
            self._compare(found)
            for (number, kind, initial), logs in found.items():
                for t in range(logs.shape[1]):
                    see(number, kind, -1 if initial else t, low, logs[1 : len(chunk) + 1, t])

    def _bytes(self) -> int:
        """Say how much is kept of a row: what is handed from scan to scan, and what a step makes of its states."""
        handed = [site.equation.invars[k].aval for site in self.sites for k in site.handed]
        states = [site.equation.outvars[k].aval for site in self.sites for k in site.states]
        sizes = [sum(one.size * one.dtype.itemsize for one in some) for some in (handed, states)]
        return int(2 * sizes[0] + 16 * sizes[1])

    def _in_range(self, rows: Sequence[Row]) -> Found:
        bits = np.array([self._bits(row) for row in rows])
        found = self._logs(rows, np.minimum(bits + _LARGE, _LARGEST))
        if any(np.isnan(one).any() for one in found.values()):  # it grew beyond all numbers: begin smaller
            for key, again in self._logs(rows, np.minimum(bits, _LARGEST)).items():
                found[key] = np.where(np.isnan(found[key]), again, found[key])
        return found

    def _bits(self, row: Row) -> int:
        """Give the binary order that brings what enters to about one."""
        entering = list(self.norms.values()) if row == _ALL or self.joint else [self.norms[row[0]][row[1]]]
        size = float(max(one.max(initial=0) for one in entering))
        return -math.frexp(size)[1] if math.isfinite(size) else 0

    def _compare(self, found: Found) -> None:
        """Note how far all losses together are off the walk of the whole loss, where that is not small."""
        for (number, kind, initial), logs in found.items():
            if kind == FED or initial or self.recording.steps:
                continue
            site = self.sites[number]
            known = row_norms(self.recording.column(site, "total", site.kinds.index(kind)))[:, self.chosen[number]]
            with np.errstate(all="ignore"):
                together = np.exp(logs[0])
                largest = np.max(known, where=np.isfinite(known), initial=0.0)
                usable = np.isfinite(known) & np.isfinite(together) & (known > _SIGNIFICANT * largest)
                if usable.any() and largest > _TINY:
                    self.difference = max(self.difference, float(np.abs(together[usable] / known[usable] - 1).max()))

    def _logs(self, rows: Sequence[Row], bits: Integers) -> Found:
        """Give logs of norms (rows, T, samples) by scan and kind; of first states with one step."""
        found: Found = {}
        for number, told in self._walked(rows, np.ldexp(1.0, bits)).items():
            site = self.sites[number]
            parts = [(kind, True, one[:, None]) for kind, one in zip(site.kinds, told["initial"], strict=True)]
            parts += [(kind, False, one) for kind, one in zip(site.kinds, told["states"], strict=True)]
            parts += [(FED, False, one) for one in told["read"].values() if self.recording.facts[number].fed]
            for kind, first, some in parts:
                norms = np.asarray(some, np.float64)[..., self.chosen[number]]
                norms = norms[:, ::-1] if site.flipped and not first else norms
                with np.errstate(divide="ignore"):
                    log = np.log(np.where(np.isfinite(norms), norms, np.nan)) - bits[:, None, None] * np.log(2)
                key = number, kind, first
                found[key] = np.logaddexp(2 * found[key], 2 * log) / 2 if key in found else log
        return found

    def _walked(self, rows: Sequence[Row], scales: Floats) -> dict[int, Any]:
        """Walk rows from scan to scan."""
        recording, found = self.recording, {}
        above: dict[int, dict[int, Any]] = {site.number: {} for site in self.sites}
        if recording.steps:
            seeds = np.zeros((len(rows), len(recording.steps[0])), recording.steps[0].dtype)
            for k, row in enumerate(rows):
                seeds[k, slice(None) if row == _ALL else row[1]] = scales[k]
            above = recording.programs.step_shares(recording.arrays, recording.results, seeds)
        for site in reversed(self.sites):
            entering = {
                "shares": self.shares.get(site.number, {}), "factors": self._factors(site, rows, scales),
                "above": above[site.number],
            }  # fmt: skip
            axes = recording.layouts[site.number].axes
            told = recording.programs.rows(site.number, axes, recording.arrays, recording.results, entering)
            found[site.number], handed = told, told.pop("handed")
            if handed:
                lower = recording.programs.handed_down(site.number, recording.arrays, recording.results, handed)
                for number, parts in lower.items():
                    known = above[number]
                    above[number] = known | {k: known[k] + one if k in known else one for k, one in parts.items()}
        return found

    def _factors(self, site: Site, rows: Sequence[Row], scales: Floats) -> Floats:
        """Say how often what enters at each step counts in each row, (rows, T) by the order of the scan's arrays."""
        wide = any(str(one.aval.dtype) in ("float64", "complex128") for one in site.equation.outvars)
        factors = np.zeros((len(rows), site.length), np.float64 if wide else np.float32)
        for k, (clock, t) in enumerate(rows if not self.recording.steps else ()):
            if (clock, t) == _ALL or self.joint:
                factors[k] = scales[k]
            elif clock == self.recording.clocks[site.number]:
                factors[k, site.length - 1 - t if site.flipped else t] = scales[k]
        return factors


def _entering(recording: JaxRecording, site: Site, shares: Mapping[int, Any]) -> Floats:
    """Give the norm of what enters at every step and sample of a scan, (T, N)."""
    layout = recording.layouts[site.number]
    found = np.zeros((site.length, layout.batch))
    last = 0 if site.reverse else site.length - 1
    for k, share in shares.items():
        if k >= site.count:
            found = np.hypot(found, sample_norms(share, layout.emitted.get(k), layout.batch, flipped=site.flipped))
        elif k in site.states:
            axis = layout.axes[site.states.index(k)]
            found[last] = np.hypot(found[last], sample_norms(share[None], axis, layout.batch, flipped=False)[0])
        else:  # every step adds to it
            found = np.hypot(found, norm(host(share)))
    return found


def _given(recording: JaxRecording) -> dict[int, Floats]:
    """Enter every loss that the user gives at each sample of the scan that has so many steps."""
    steps = len(recording.steps[0])
    fitting = {recording.clocks[one.number]: one for one in recording.sites if one.length == steps}
    if len(fitting) != 1:
        lengths = ", ".join(f"{site.name} {site.length}" for site in recording.sites)
        raise InputError(
            f"per_step gives {steps} losses, which must be those of the steps of one recurrence; there are: {lengths}."
        )
    ((clock, site),) = fitting.items()
    return {clock: np.ones((steps, recording.layouts[site.number].batch))}
