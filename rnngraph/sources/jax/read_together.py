"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no, by asking again: what the later steps of a sample hand out is
moved, and what enters at its first steps is compared with before. A loss of every step by itself does not change there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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

_MOVE = 1e-2  # of the size of what a step hands out
_READS, _ALONE = 0.05, 3.0  # as for PyTorch: how strongly steps are read together, and what statistics of a batch reach
_MOST = 0.5  # how strongly, beside that, steps are read together where samples are compared with each other
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_ALL = Heard()


def reads_together(
    recording: JaxRecording, shares: Mapping[int, Mapping[int, Any]], entered: Floats, entering: Entering
) -> bool:
    """Tell whether the loss reads far steps together; `entered` is (T, N), the norms of its shares.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term. One
    that is linear in what it reads, as half of a cross entropy is that is written out, tells nothing.
    """
    programs, found = recording.programs, _joins(recording, shares, entered, entering)
    kinds = kinds_of_terms(programs.function.jaxpr, programs.plan) if found is not False else []
    if not kinds or len(kinds) > _TERMS or (found and len(kinds) == 1):
        return bool(found)
    every, alone = frozenset(term.path for some in kinds for term in some), []
    for some in kinds if len(kinds) > 1 else ():
        heard = Heard(every - {term.path for term in some})
        own = programs.shares(recording.arrays, recording.results, heard)
        alone.append((_norms(recording, own, entered, entering), own, heard, some[-1]))
    alone.sort(key=lambda one: -norm(one[0]))
    for norms, own, heard, _ in alone if found else ():
        reading = _joins(recording, own, norms, entering, heard)
        if reading is not None:
            return reading
    term = alone[0][3] if alone else kinds[0][-1]
    return bool(found) or _of_one_number(recording, Heard(every - {term.path}, term), entered, entering)


def _of_one_number(recording: JaxRecording, heard: Heard, entered: Floats, entering: Entering) -> bool:
    """Tell whether the largest number that a term reads is made of far steps; a linear loss tells by nothing else."""
    if heard.single is None or heard.single.path in recording.programs.plan.sites:
        return False
    found = recording.programs.shares(recording.arrays, recording.results, heard)
    norms = _norms(recording, found, entered, entering, emitted=True)
    sample = int(norms.max(axis=0).argmax())
    steps, every = (np.flatnonzero(one[:, sample] > _READS * one[:, sample].max()) for one in (norms, entered))
    return bool(steps.size > 1 and 2 * np.ptp(steps) > np.ptp(every) > 1)


def _joins(
    recording: JaxRecording,
    shares: Mapping[int, Mapping[int, Any]],
    entered: Floats,
    entering: Entering,
    heard: Heard = _ALL,
) -> bool | None:
    """Tell whether what enters at steps of a sample depends on what far ones hand out; None where nothing changes."""
    sample = int((entered != 0).sum(axis=0).argmax())
    known = np.flatnonzero(entered[:, sample])
    if known.size < 2:
        return False
    moved, far = known[known.size // 2 :], known[: max(known.size // 4, 1)]
    results = {site.number: _moved(recording, site, shares[site.number], moved, sample) for site in recording.sites}
    after = recording.programs.shares(recording.arrays, results, heard)
    apart = {
        number: {k: host(after[number][k]) - host(one) for k, one in some.items()} for number, some in shares.items()
    }
    changed = _norms(recording, apart, entered, entering, emitted=True)
    own, felt = _size(changed[moved, sample]), _size(changed[far, sample])
    others = _size(np.delete(changed[far], sample, axis=1))
    return bool(felt > _READS * own and felt > min(_ALONE * others, _MOST * own)) if own else None


def _norms(
    recording: JaxRecording,
    shares: Mapping[int, Mapping[int, Any]],
    like: Floats,
    entering: Entering,
    *,
    emitted: bool = False,
) -> Floats:
    """Give the norms, (T, N), of what enters at all scans of a clock, or only at what their steps emit."""
    found = np.zeros_like(like)
    for site in recording.sites:
        if like.shape == (site.length, recording.layouts[site.number].batch):
            own = {k: one for k, one in shares[site.number].items() if k >= site.count or not emitted}
            found = np.hypot(found, entering(recording, site, own))
    return found


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
