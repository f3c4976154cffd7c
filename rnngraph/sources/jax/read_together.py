"""Whether the loss reads many steps at once, as pooling and attention do: it is one loss then, and not one a step.

In: a recording and what enters its scans. Out: yes or no, by asking again: what the later steps of a sample hand out is
moved, and what enters at its first steps is compared with before. A loss of every step by itself does not change there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from rnngraph.sources.jax.samples import host
from rnngraph.sources.jax.sites import Site
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

    Entering = Callable[[JaxRecording, Site, Mapping[int, Any]], Floats]

_MOVE = 1e-2  # of the size of what a step hands out
_READS, _ALONE = 0.05, 3.0  # as for PyTorch: how much is a side term, and what statistics of a batch reach


def reads_together(
    recording: JaxRecording, shares: Mapping[int, Mapping[int, Any]], entered: Floats, entering: Entering
) -> bool:
    """Tell whether what enters at steps of a sample depends on what far ones hand out; `entered` is (T, N)."""
    sample = int((entered != 0).sum(axis=0).argmax())
    known = np.flatnonzero(entered[:, sample])
    if known.size < 2:
        return False
    moved, far = known[known.size // 2 :], known[: max(known.size // 4, 1)]
    results = {site.number: _moved(recording, site, shares[site.number], moved, sample) for site in recording.sites}
    after = recording.programs.shares(recording.arrays, results)
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
