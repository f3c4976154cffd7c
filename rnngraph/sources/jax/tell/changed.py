"""The weights of a call, changed as a remedy says: the recurrent ones scaled, or started orthogonal.

In: scans, arrays and changes. Out: arrays to call the same function with; None where a change means nothing here. Which
rows of a weight multiply the state was read off the step; what else a step computes is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from rnngraph.measure.recording import Array
from rnngraph.nn import init
from rnngraph.sources.jax.find.recurrent_weights import Weight
from rnngraph.sources.jax.find.sites import Site
from rnngraph.trace.change import ORTHOGONAL, SCALE, Change

SEED = 0


def changed_arrays(sites: Sequence[Site], arrays: Sequence[Any], changes: Sequence[Change]) -> list[Any] | None:
    """Change the recurrent weights of the scans that the changes name, or of all."""
    values: dict[int, Array] = {}
    for change in changes:
        chosen = [site for site in sites if not change.recurrences or site.name in change.recurrences]
        weights = dict.fromkeys(weight for site in chosen for weight in site.recurrent)
        if change.kind not in (SCALE, ORTHOGONAL) or not all(site.recurrent for site in chosen):
            return None
        for weight in weights:
            values.setdefault(weight.leaf, np.array(arrays[weight.leaf]))
            if not _change(values[weight.leaf], weight, change):
                return None
    return [jnp.asarray(values[k], one.dtype) if k in values else one for k, one in enumerate(arrays)]


def _change(value: Array, weight: Weight, change: Change) -> bool:
    """Change the rows that multiply the state, in place; give whether that could be done."""
    rows = np.moveaxis(value[tuple(slice(low, high) for low, high in weight.spans)], weight.axis, 0)
    if change.kind == SCALE:
        rows *= np.asarray(change.number, value.dtype)
        return True
    size = len(rows)
    if rows.ndim != 2 or rows.shape[1] % size or np.iscomplexobj(rows):
        return False
    for block in range(rows.shape[1] // size):  # the gates of a cell stand side by side
        drawn = init.orthogonal(np.random.default_rng(SEED + block), (size, size))
        rows[:, block * size : (block + 1) * size] = change.number * drawn
    return True
