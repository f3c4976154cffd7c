"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no, by asking again: what the later steps of a sample hand out is
moved, and what enters at its first steps is compared with before. A loss of every step by itself does not change there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from rnngraph.norms import norm
from rnngraph.sources.jax.samples import host
from rnngraph.sources.jax.sites import Site
from rnngraph.sources.jax.terms import Heard, kinds_of_terms
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]

Shares: TypeAlias = Mapping[int, Mapping[int, Any]]  # by scan, what enters at its results

_MOVE = 1e-2  # of the size of what a step hands out
_READS, _ALONE = 0.05, 3.0  # how strongly steps are read together, and what statistics of a batch reach
_MOST = 0.5  # how strongly, beside that, steps are read together where samples are compared with each other
_SIDE = 0.1  # a term that is smaller, beside the largest, is a side term
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_ALL = Heard()


def reads_together(recording: JaxRecording, shares: Shares, clock: int, entered: Floats, entering: Entering) -> bool:
    """Tell whether the loss reads far steps of a clock together; `entered` is (T, N), the norms of its shares.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term. One
    that is linear in what it reads, as half of a cross entropy is that is written out, tells nothing.
    """
    programs, asked = recording.programs, _Asked(recording, clock, entering)
    found = asked.joins(shares, entered)
    kinds = kinds_of_terms(programs.function.jaxpr, programs.plan) if found is not False else []
    if not kinds or len(kinds) > _TERMS or (found and len(kinds) == 1):
        return bool(found)
    every, alone = frozenset(term.path for some in kinds for term in some), []
    for some in kinds if len(kinds) > 1 else ():
        heard = Heard(every - {term.path for term in some})
        own = programs.shares(recording.arrays, recording.results, heard)
        alone.append((asked.norms(own, entered), own, heard, some[-1]))
    alone.sort(key=lambda one: -norm(one[0]))
    for norms, own, heard, _ in alone if found else ():
        reading = asked.joins(own, norms, heard) if norm(norms) >= _SIDE * norm(alone[0][0]) else None
        if reading is not None:
            return reading
    term = alone[0][3] if alone else kinds[0][-1]
    return term.path not in programs.plan.sites and asked.of_one_number(Heard(every - {term.path}, term), entered)


class _Asked(NamedTuple):
    """The scans of one clock, and what is asked about them."""

    recording: JaxRecording
    clock: int
    entering: Entering

    def norms(self, shares: Shares, like: Floats, *, emitted: bool = False) -> Floats:
        """Give the norms, (T, N), of what enters, or only of what enters at what steps emit."""
        found = np.zeros_like(like)
        for site in self._sites():
            own = {k: one for k, one in shares[site.number].items() if k >= site.count or not emitted}
            found = np.hypot(found, self.entering(self.recording, site, own))
        return found

    def joins(self, shares: Shares, entered: Floats, heard: Heard = _ALL) -> bool | None:
        """Tell whether what enters at steps of a sample depends on what far ones hand out; None where nothing moves."""
        recording, sample = self.recording, int((entered != 0).sum(axis=0).argmax())
        known = np.flatnonzero(entered[:, sample])
        if known.size < 2:
            return False
        moved, far = known[known.size // 2 :], known[: max(known.size // 4, 1)]
        own = {site.number: _moved(recording, site, shares[site.number], moved, sample) for site in self._sites()}
        after = recording.programs.shares(recording.arrays, {**recording.results, **own}, heard)
        apart = {
            number: {k: host(after[number][k]) - host(one) for k, one in some.items()}
            for number, some in shares.items()
        }
        changed = self.norms(apart, entered, emitted=True)
        here, felt = _size(changed[moved, sample]), _size(changed[far, sample])
        others = _size(np.delete(changed[far], sample, axis=1))
        return bool(felt > _READS * here and felt > min(_ALONE * others, _MOST * here)) if here else None

    def of_one_number(self, heard: Heard, entered: Floats) -> bool:
        """Tell whether the largest number that a term reads is made of far steps: a linear loss tells so alone."""
        found = self.recording.programs.shares(self.recording.arrays, self.recording.results, heard)
        norms = self.norms(found, entered, emitted=True)
        sample = int(norms.max(axis=0).argmax())
        steps, every = (np.flatnonzero(one[:, sample] > _READS * one[:, sample].max()) for one in (norms, entered))
        return bool(steps.size > 1 and 2 * np.ptp(steps) > np.ptp(every) > 1)

    def _sites(self) -> list[Site]:
        return [site for site in self.recording.sites if self.recording.clocks[site.number] == self.clock]


def _moved(recording: JaxRecording, site: Site, shares: Mapping[int, Any], steps: Integers, sample: int) -> Any:
    """Move what a scan emits at some steps of a sample, where the loss reads it."""
    found = list(recording.results[site.number])
    places = site.length - 1 - steps if site.flipped else steps
    for k in shares:
        if k < site.count or site.length <= places.max():
            continue
        value, axis = np.array(host(found[k])), recording.layouts[site.number].emitted.get(k)
        part = value if axis is None else np.moveaxis(value, axis % (value.ndim - 1) + 1, 1)[:, sample : sample + 1]
        drawn = np.random.default_rng(0).normal(size=part[places].shape)
        part[places] += (_MOVE * (np.abs(value).max(initial=0) or 1.0) * drawn).astype(value.dtype)
        found[k] = jnp.asarray(value, recording.results[site.number][k].dtype)
    return type(recording.results[site.number])(found)


def _size(norms: Floats) -> float:
    return float(np.sqrt(np.square(norms).mean())) if norms.size else 0.0
