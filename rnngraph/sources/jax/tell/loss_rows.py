"""Losses of single steps walked back, many together, from the last scan to the first.

In: a recording and rows, (clock, timestep). Out: norms by sample at every state and input, told to whoever measures.
Every row is walked from a large size, and once more from a size near one where it grows beyond a float32: what is told
is right down to about 1e-68 of the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from rnngraph.measure.recording import FED, See
from rnngraph.norms import row_norms
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.packing import packing_of
from rnngraph.sources.jax.run.row_walk import ends_of_stages
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording

_BYTES = 2**28  # of what is kept of a chunk of rows
_ALL = (-1, -1)  # the row of all losses together
_SIGNIFICANT = 1e-3  # of the largest; below it two ways differ by rounding
_TINY = 1e-30  # of gradients; below it a float32 has lost digits of the whole
_LARGE = 100  # binary orders above one that a walk begins at, to get further down
_LARGEST = 120  # what a float32 holds, with room for what grows
_STAGES, _SHORT = 4, 16  # of a walk, and of how many steps one is worth compiling
_STEP_OFF = 1e3  # times the precision: how far one step may be off, by the order of its sums

Found = dict[tuple[int, str, bool], Floats]


class Rows:
    """One walk of losses over all scans of a recording."""

    def __init__(self, recording: JaxRecording, samples: Mapping[int, Integers]) -> None:
        """Look at what there is to walk; samples are chosen by size of batch."""
        self.recording, self.shares = recording, recording.shares
        self.chosen = [samples[layout.batch] for layout in recording.layouts]

    def pull(self, rows: Sequence[tuple[int, int]], see: See) -> None:
        """Walk all rows back, a chunk at a time, and tell the norms."""
        count = max(1, min(len(rows), _BYTES // max(self._bytes(), 1)))
        count = -(-len(rows) // -(-len(rows) // count))  # chunks of one size, so that one program serves all
        for low in range(0, len(rows), count):
            chunk = rows[low : low + count]
            padded = [_ALL, *chunk, *[chunk[-1]] * (count - len(chunk))]
            found = self._chunk(padded)
            for (number, kind, initial), logs in found.items():
                for t in range(logs.shape[1]):
                    see(number, kind, -1 if initial else t, low, logs[1 : len(chunk) + 1, t])

    def _bytes(self) -> int:
        """Say how much is kept of a row: what is handed from scan to scan, and what a step makes of its states."""
        size = 0
        for site in self.recording.sites:
            handed = [site.equation.invars[k].aval for k in site.handed]
            states = [site.equation.outvars[k].aval for k in site.states]
            size += 2 * sum(one.size * one.dtype.itemsize for one in handed)
            size += 16 * sum(one.size * one.dtype.itemsize for one in states)
        return size

    def _chunk(self, rows: Sequence[tuple[int, int]]) -> Found:
        """Walk a chunk; where samples side by side do not add up to the whole, walk it with all of them."""
        recording, packed = self.recording, set(range(len(self.chosen))) - self.recording.programs.unpacked
        found = self._in_range(rows)
        difference = self._difference(found)
        if difference > recording.allowed and packed:
            recording.programs.unpacked |= packed
            found = self._in_range(rows)
            difference = self._difference(found)
        recording.note_difference(difference)
        return found

    def _in_range(self, rows: Sequence[tuple[int, int]]) -> Found:
        bits = np.array([self._bits(row) for row in rows])
        found = self._logs(rows, np.minimum(bits + _LARGE, _LARGEST))
        if any(np.isnan(one).any() for one in found.values()):  # it grew beyond all numbers: begin smaller
            for key, again in self._logs(rows, np.minimum(bits, _LARGEST)).items():
                found[key] = np.where(np.isnan(found[key]), again, found[key])
        return found

    def _difference(self, found: Found) -> float:
        """Say how far all losses together are off the walk of the whole loss, where that is not small."""
        differences = [0.0]
        for (number, kind, initial), logs in found.items():
            if kind == FED or initial or self.recording.steps:
                continue
            site = self.recording.sites[number]
            known = row_norms(self.recording.column(site, "total", site.kinds.index(kind)))[:, self.chosen[number]]
            with np.errstate(all="ignore"):
                all_losses = np.exp(logs[0])
                largest = np.max(known, where=np.isfinite(known), initial=0.0)
                usable = np.isfinite(known) & np.isfinite(all_losses) & (known > _SIGNIFICANT * largest)
                if usable.any() and largest > _TINY:
                    differences.append(float(np.abs(all_losses[usable] / known[usable] - 1).max()))
        return max(differences)

    def _bits(self, row: tuple[int, int]) -> int:
        """Give the binary order that brings what enters to about one."""
        norms = self.shares.norms
        entering = (
            [one.max(initial=0) for one in norms.values()] if row == _ALL else [norms[row[0]][row[1]].max(initial=0)]
        )
        size = float(max(entering))
        return -int(np.frexp(size)[1]) if np.isfinite(size) and size > 0 else 0

    def _logs(self, rows: Sequence[tuple[int, int]], bits: Integers) -> Found:
        """Give logs of norms (rows, T, samples) by scan and kind; of first states with one step."""
        found: Found = {}
        for number, (states, initial, read) in self._walked(rows, np.ldexp(1.0, bits)).items():
            site = self.recording.sites[number]
            parts = [(kind, True, initial[place][:, None]) for place, kind in enumerate(site.kinds)]
            parts += [(kind, False, states[place]) for place, kind in enumerate(site.kinds)]
            parts += [(FED, False, one) for one in read]
            for kind, first, norms in parts:
                wide = norms[:, ::-1] if site.flipped and not first else norms
                with np.errstate(divide="ignore"):
                    log = np.log(np.where(np.isfinite(wide), wide, np.nan)) - bits[:, None, None] * np.log(2)
                key = number, kind, first
                found[key] = np.logaddexp(2 * found[key], 2 * log) / 2 if key in found else log
        return found

    def _walked(self, rows: Sequence[tuple[int, int]], scales: Floats) -> dict[int, tuple[list[Floats], ...]]:
        """Walk rows from scan to scan."""
        recording, found = self.recording, {}
        above: dict[int, dict[int, Any]] = {site.number: {} for site in recording.sites}
        results = {site.number: recording.found[site.number]["results"] for site in recording.sites}
        if recording.steps:
            seeds = np.zeros((len(rows), len(recording.steps[0])), recording.steps[0].dtype)
            for k, row in enumerate(rows):
                seeds[k, slice(None) if row == _ALL else row[1]] = scales[k]
            above = recording.programs.step_shares(recording.arrays, results, seeds)
        for site in reversed(recording.sites):
            found[site.number], handed = self._through(site, self._factors(site, rows, scales), above[site.number])
            if handed:
                lower = recording.programs.handed_down(site.number, recording.arrays, results, handed)
                for number, parts in lower.items():
                    known = above[number]
                    above[number] = {k: known[k] + one if k in known else one for k, one in parts.items()}
        return found

    def _factors(self, site: Site, rows: Sequence[tuple[int, int]], scales: Floats) -> Floats:
        """Say how often what enters at each step counts in each row, (rows, T) by the order of the scan's arrays."""
        factors = np.zeros((len(rows), site.length))
        for k, (clock, t) in enumerate(rows if not self.recording.steps else ()):
            if (clock, t) == _ALL:
                factors[k] = scales[k]
            elif clock == self.recording.clocks[site.number]:
                factors[k, site.length - 1 - t if site.flipped else t] = scales[k]
        return factors

    def _through(
        self, site: Site, factors: Floats, above: Mapping[int, Any]
    ) -> tuple[tuple[list[Floats], ...], dict[int, Any]]:
        """Walk rows through a scan; give norms (rows, T, samples) and (rows, samples), and what is handed down."""
        recording, layout = self.recording, self.recording.layouts[site.number]
        chosen, programs = self.chosen[site.number], recording.programs
        packing = None if site.number in programs.unpacked else packing_of(site, layout, chosen.tolist(), above)
        beside = packing.rows if packing else 1
        entered = self._entered(site, factors, above)
        order = np.argsort(entered, kind="stable")
        back = np.argsort(order)
        order = np.append(order, [order[-1]] * (-len(order) % beside)).astype(np.int64)
        stages = _stages(site.length, entered[order][::beside])
        some = factors[order]
        entering = {
            "shares": self.shares.at.get(site.number, {}),
            "factors": typed(site, packing.factors(some) if packing else some[..., None]),
            "above": {k: one[order] for k, one in above.items()},
        }
        told = programs.rows(site.number, packing, stages, layout.axes, recording.arrays, recording.found, entering)
        if packing and not float(told["off"]) <= _STEP_OFF * precision(site):
            programs.unpacked.add(site.number)
            return self._through(site, factors, above)

        def by_row(norms: Any) -> Floats:
            wide = np.asarray(norms, np.float64)
            return (packing.norms(wide) if packing else wide[..., chosen])[..., back, :]

        read = told["read"].values() if recording.facts[site.number].fed else ()
        columns = [[by_row(one).swapaxes(0, 1) for one in some] for some in (told["states"], read)]
        norms = columns[0], [by_row(one) for one in told["initial"]], columns[1]
        return norms, {k: one[back] for k, one in told["handed"].items()}

    def _entered(self, site: Site, factors: Floats, above: Mapping[int, Any]) -> Integers:
        """Say where each row enters first, in steps from the one that was processed last."""
        there = factors != 0
        emitted = {k: one for k, one in above.items() if k >= site.count}
        if emitted:
            there = there | np.asarray(self.recording.programs.reached(emitted), bool)
        if len(emitted) < len(above):
            there[:, 0 if site.backward else -1] = True
        there = there if site.backward else there[:, ::-1]
        return np.where(there.any(axis=1), there.argmax(axis=1), site.length)


def _stages(length: int, entered: Integers) -> tuple[int, ...]:
    """Say how many groups have entered at the end of every stage, as if they entered evenly; else there is one stage.

    A walk is compiled for these numbers: those that are found would differ from batch to batch.
    """
    groups, count = len(entered), max(1, min(_STAGES, length // _SHORT))
    even = tuple(min(groups, -(-groups * (k + 1) // count) + 1) for k in range(count))
    ends = ends_of_stages(length, count)
    fits = all((entered < end).sum() <= most for end, most in zip(ends, even, strict=True))
    return even if fits else (groups,)


def typed(site: Site, column: Floats) -> Any:
    """Bring factors to the type of a scan's numbers."""
    return jnp.asarray(column, jnp.float64 if _wide(site) else jnp.float32)


def _wide(site: Site) -> bool:
    return any(str(one.aval.dtype) in ("float64", "complex128") for one in site.equation.outvars)


def precision(site: Site) -> float:
    """Give the precision of the narrowest of a scan's states."""
    return max(float(jnp.finfo(site.equation.outvars[k].aval.dtype).eps) for k in site.states)
