"""Which samples start anew where a state is multiplied or chosen, as where an episode begins.

In: what a factor or a condition lets through. Out: (N,) booleans. It is one for all units of a sample: one for each is
a slope, as that of a ReLU by hand, which is zero where all units are off.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.trace.magnitudes import Booleans


def starts_anew(passes: Array, shape: tuple[int, ...], axis: int | None, batch: int) -> Booleans:
    """Tell of which samples nothing passes; `shape` is that of the state, and `axis` that of its samples."""
    if axis is not None and (len(shape) <= axis or shape[axis] != batch):
        return np.zeros(batch, bool)
    whole = np.broadcast_to(passes, shape)
    rows = whole.reshape(1, -1) if axis is None else np.moveaxis(whole, axis, 0).reshape(batch, -1)
    alike = passes.size <= batch or (bool(whole.any()) and bool((rows == rows[:, :1]).all()))
    return np.asarray(~rows[:, 0]) if alike and rows.shape[1] > 1 else np.zeros(batch, bool)
