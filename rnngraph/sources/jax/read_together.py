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
from rnngraph.sources.jax.terms import kinds_of_terms
from rnngraph.sources.jax.walk import Path
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]

_MOVE = 1e-2  # of the size of what a step hands out
_READS, _ALONE = 0.05, 3.0  # as for PyTorch: how strongly steps are read together, and what statistics of a batch reach
_TERMS = 8  # kinds of terms of a loss that are looked at, at most


def reads_together(
    recording: JaxRecording, shares: Mapping[int, Mapping[int, Any]], entered: Floats, entering: Entering
) -> bool:
    """Tell whether the loss reads far steps together; `entered` is (T, N), the norms of its shares.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term.
    """
    if not _joins(recording, shares, entered, entering):
        return False
    programs = recording.programs
    kinds = kinds_of_terms(programs.function.jaxpr, programs.plan)
    if not 1 < len(kinds) <= _TERMS:
        return True
    every, alone = frozenset.union(*kinds), []
    for some in kinds:
        own = programs.shares(recording.arrays, recording.results, every - some)
        sites = [site for site in recording.sites if site.length == len(entered)]
        norms = np.hypot.reduce([entering(recording, site, own[site.number]) for site in sites], axis=0)
        alone.append((own, np.asarray(norms), every - some))
    own, norms, silent = max(alone, key=lambda one: norm(one[1]))
    return _joins(recording, own, norms, entering, silent)


def _joins(
    recording: JaxRecording,
    shares: Mapping[int, Mapping[int, Any]],
    entered: Floats,
    entering: Entering,
    silent: frozenset[Path] = frozenset(),
) -> bool:
    """Tell whether what enters at steps of a sample depends on what far ones hand out."""
    sample = int((entered != 0).sum(axis=0).argmax())
    known = np.flatnonzero(entered[:, sample])
    if known.size < 2:
        return False
    moved, far = known[known.size // 2 :], known[: max(known.size // 4, 1)]
    results = {site.number: _moved(recording, site, shares[site.number], moved, sample) for site in recording.sites}
    after = recording.programs.shares(recording.arrays, results, silent)
    changed = np.zeros_like(entered)
    for site in recording.sites:
        apart = {k: host(after[site.number][k]) - host(one) for k, one in shares[site.number].items()}
        if site.length == len(changed):
            changed = np.hypot(changed, entering(recording, site, {k: d for k, d in apart.items() if k >= site.count}))
    own, felt = _size(changed[moved, sample]), _size(changed[far, sample])
    others = _size(np.delete(changed[far], sample, axis=1))
    return bool(felt > _READS * own and felt > _ALONE * others)


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
