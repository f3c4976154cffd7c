"""The weights of a loss function: their gradients, each step's part of those that a scan reads, and changes of them.

In: a recording. Out: a `ParameterTrace` a weight; and arrays to call the same function with. A part is caught where a
step reads the weight; of a weight that is made of others before the scan, or that several scans read, the parts are not
known. Which part of a weight multiplies the state, or is the bias of a gate, was read off the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from rnngraph.measure.parameter_trace import NO_SPECTRUM, parameter_trace, weight_spectrum
from rnngraph.measure.recording import Array
from rnngraph.nn import init
from rnngraph.norms import norm
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.finding.step_cell import Weight
from rnngraph.sources.jax.running.samples import host
from rnngraph.trace.change import BIAS, ORTHOGONAL, SCALE, Change
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import ParameterTrace

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

SEED = 0


def parameters_of(recording: JaxRecording, timesteps: int, eigenvalues: int) -> Iterator[ParameterTrace]:
    """Measure every weight, with the eigenvalues of recurrent ones of up to so many rows."""
    readers: dict[int, list[tuple[Site, int]]] = {}
    recurrent: dict[int, set[Weight]] = {}
    for site in recording.sites:
        for argument, leaf in site.leaves.items():
            readers.setdefault(leaf, []).append((site, argument))
        for weight in site.recurrent:
            recurrent.setdefault(weight.leaf, set()).add(weight)
    names = recording.programs.function.names
    for leaf, gradient in recording.leaf_gradients.items():
        steps = _steps(recording, readers.get(leaf, []), timesteps)
        value, total = host(recording.arrays[leaf]), Magnitudes.of(norm(host(gradient)))
        name = names[leaf] if names.count(names[leaf]) == 1 else f"{names[leaf]}#{leaf}"
        spectrum = _spectrum(value, recurrent.get(leaf, set()), eigenvalues)
        yield parameter_trace(name, value, total, steps, spectrum=spectrum)


def _spectrum(value: Array, recurrent: set[Weight], eigenvalues: int) -> tuple[float, float]:
    """Give spectral radius and largest singular value of the part that the state is multiplied by, where it is one."""
    spans = {weight.spans for weight in recurrent}
    return weight_spectrum(value[slices(spans.pop())], eigenvalues) if len(spans) == 1 else NO_SPECTRUM


def _steps(recording: JaxRecording, readers: list[tuple[Site, int]], timesteps: int) -> Magnitudes:
    if len(readers) != 1 or not recording.programs.options.weights:
        return Magnitudes.unobserved((timesteps,))
    site, argument = readers[0]
    norms = np.asarray(recording.found[site.number]["weights"][argument], np.float64)
    return Magnitudes.of(norms[::-1] if site.flipped else norms).lengthened(timesteps)


def changed_arrays(sites: Sequence[Site], arrays: Sequence[Any], changes: Sequence[Change]) -> list[Any] | None:
    """Change the weights of the scans; None where a change means nothing here."""
    values: dict[int, Array] = {}
    for change in changes:
        parts = [_biases(site) if change.kind == BIAS else site.recurrent for site in sites]
        if change.kind not in (BIAS, SCALE, ORTHOGONAL) or not all(parts):
            return None
        done = set[Weight]()
        for site, weights in zip(sites, parts, strict=True):
            for place, weight in enumerate(one for one in weights if one not in done):
                value = values.setdefault(weight.leaf, np.array(arrays[weight.leaf]))[slices(weight.spans)]
                if change.kind == BIAS and site.gate is not None:  # the biases of a gate add up
                    number = -change.number if site.gate.closes else change.number
                    value[...] = 0 if place else number - site.gate.offset
                elif not _change(np.moveaxis(value, weight.axis, 0), change):
                    return None
                done.add(weight)
    return [jnp.asarray(values[k], one.dtype) if k in values else one for k, one in enumerate(arrays)]


def _biases(site: Site) -> tuple[Weight, ...]:
    return site.gate.biases if site.gate else ()


def _change(rows: Array, change: Change) -> bool:
    """Change the rows that multiply the state, in place; give whether that could be done."""
    if change.kind == SCALE:
        rows *= np.asarray(change.number, rows.dtype)
        return True
    size = len(rows)
    if rows.ndim != 2 or rows.shape[1] % size or np.iscomplexobj(rows):
        return False
    for block in range(rows.shape[1] // size):  # the gates of a cell stand side by side
        drawn = init.orthogonal(np.random.default_rng(SEED + block), (size, size))
        rows[:, block * size : (block + 1) * size] = change.number * drawn
    return True


def slices(spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """Select a part of a weight."""
    return tuple(slice(low, high) for low, high in spans)
