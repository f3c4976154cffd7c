"""The weights of a loss function: their gradients, and each step's part of those that a scan reads.

In: a recording. Out: a `ParameterTrace` a weight. A part is caught where a step reads the weight; of a weight that is
made of others before the scan, or that several scans read, the parts are not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnngraph.measure.parameter_trace import NO_SPECTRUM, parameter_trace, weight_spectrum
from rnngraph.measure.recording import Array
from rnngraph.norms import norm
from rnngraph.sources.jax.find.recurrent_weights import Weight
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.tell.arrays import host
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import ParameterTrace

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording


def parameters_of(recording: JaxRecording, timesteps: int, eigenvalues: int) -> tuple[ParameterTrace, ...]:
    """Measure every weight, with the eigenvalues of recurrent ones of up to so many rows."""
    readers: dict[int, list[tuple[Site, int]]] = {}
    for site in recording.sites:
        for argument, leaf in site.leaves.items():
            readers.setdefault(leaf, []).append((site, argument))
    recurrent: dict[int, set[Weight]] = {}
    for site in recording.sites:
        for weight in site.recurrent:
            recurrent.setdefault(weight.leaf, set()).add(weight)
    names = _unique(recording.programs.function.names)
    found = []
    for leaf, gradient in recording.leaf_gradients.items():
        steps = _steps(recording, readers.get(leaf, []), timesteps)
        value = host(recording.arrays[leaf])
        spectrum = _spectrum(value, recurrent.get(leaf, set()), eigenvalues)
        found.append(parameter_trace(names[leaf], value, Magnitudes.of(norm(host(gradient))), steps, spectrum=spectrum))
    return tuple(found)


def _spectrum(value: Array, recurrent: set[Weight], eigenvalues: int) -> tuple[float, float]:
    """Give spectral radius and largest singular value of the part that the state is multiplied by, where it is one."""
    if len({weight.spans for weight in recurrent}) != 1:
        return NO_SPECTRUM
    spans = next(iter(recurrent)).spans
    return weight_spectrum(value[tuple(slice(low, high) for low, high in spans)], eigenvalues)


def _steps(recording: JaxRecording, readers: list[tuple[Site, int]], timesteps: int) -> Magnitudes:
    if len(readers) != 1 or not recording.wanted.weights:
        return Magnitudes.unobserved((timesteps,))
    site, argument = readers[0]
    norms = np.asarray(recording.found[site.number]["weights"][argument], np.float64)
    return Magnitudes.of(norms[::-1] if site.flipped else norms).lengthened(timesteps)


def _unique(names: tuple[str, ...]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name}#{k}" for k, name in enumerate(names)]
