"""Assemble what is known of a parameter, whatever the source: its gradient's norms, and of a weight its eigenvalues.

In: norms of the whole gradient and of every timestep's part. Out: a `ParameterTrace`.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.measure.recording import Array
from rnngraph.norms import norm
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import ParameterTrace

NO_SPECTRUM = np.nan, np.nan


def parameter_trace(
    name: str,
    value: Array,
    grad: Magnitudes,
    steps: Magnitudes,
    *,
    spectrum: tuple[float, float] = NO_SPECTRUM,
    timed: bool = True,
) -> ParameterTrace:
    """Assemble a trace.

    Args:
        name: of the parameter.
        value: its value.
        grad: the norm of its gradient.
        steps: (T,) the norms of the timesteps' parts.
        spectrum: the spectral radius and the largest singular value.
        timed: whether all of the gradient comes from timesteps; a penalty on the weight is in the sum alone.
    """
    length, total = float(steps.value.sum()), float(grad.value)
    if not math.isfinite(length):
        length = float(steps.value[steps.status == Status.OK].sum())
    cancellation = min(total / length, 1.0) if timed and length > 0 and math.isfinite(total) else np.nan
    return ParameterTrace(name, tuple(value.shape), grad, steps, cancellation, norm(value), *spectrum)


def weight_spectrum(value: Array, rows: int) -> tuple[float, float]:
    """Give a square weight's spectral radius, and the largest singular value; NaN above so many rows, or not finite."""
    if value.ndim != 2 or len(value) > rows or not np.isfinite(value).all():
        return NO_SPECTRUM
    wide = value.astype(np.result_type(value, np.float64))
    square = wide.shape[0] == wide.shape[1]
    radius = float(np.abs(np.linalg.eigvals(wide)).max()) if square else np.nan
    return radius, _largest_singular(wide)


def _largest_singular(wide: Array) -> float:
    """Give the root of the largest eigenvalue of the smaller Gram matrix: far cheaper than the singular values."""
    scale = float(np.abs(wide).max(initial=0))
    if scale == 0:
        return 0.0
    scaled = wide / scale
    gram = scaled @ scaled.conj().T if len(scaled) <= scaled.shape[1] else scaled.conj().T @ scaled
    return scale * float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
