"""What the device gives, as measuring takes it: by timestep, sample and unit, in numbers that NumPy knows.

In: arrays (T, ...) in the order of a scan's steps. Out: arrays (T, N, units).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.measure.recording import Array
from rnngraph.norms import row_norms
from rnngraph.trace.magnitudes import Floats


def host(value: Any) -> Array:
    """Bring an array over; a narrow float becomes a float32, and a complex number two real ones on a last axis."""
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return np.ascontiguousarray(array)[..., None].view(array.real.dtype)
    return array if array.dtype in (np.float32, np.float64) or array.dtype.kind != "V" else array.astype(np.float32)


def by_sample(value: Any, axis: int | None, *, flipped: bool) -> Array:
    """Bring (T, ...) to (T, N, units), timesteps ascending; `axis` is that of the samples in one step."""
    array = host(value)
    array = array[::-1] if flipped else array
    if axis is None:
        return array.reshape(len(array), 1, -1)
    return np.moveaxis(array, axis + 1, 1).reshape(len(array), array.shape[axis + 1], -1)


def sample_norms(value: Any, axis: int | None, batch: int, *, flipped: bool) -> Floats:
    """Give the norm of every step and sample, (T, N); where the samples are not known, all of it is every sample's."""
    norms = row_norms(by_sample(value, axis, flipped=flipped))
    return np.asarray(np.broadcast_to(norms, (len(norms), batch)) if norms.shape[1] != batch else norms)
