"""Rows of losses that reached a node in several bands, added up; see `block/carry.py` for the bands.

In: what reached a node in each band. Out: the same rows, each sample of each in the band of its norm, and ln of norms.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block.carry import Carry, by_band
from rnngraph.autodiff.contribution import Array

Groups: TypeAlias = dict[int, tuple[int, Array]]  # band -> (first row, rows (count, ...))


def settled(groups: Groups, axis: int | None) -> tuple[Groups, int, Array]:
    """Bring each row and sample of what reached a state into the band of its norm.

    Args:
        groups: what reached it, in one band at least.
        axis: that of the samples in the state's value; None where there is none.

    Returns:
        the rows in their bands; the first row, and ln of the norms (rows, samples).
    """
    shape = next(iter(groups.values()))[1].shape[1:]
    low, carry = added({band: (first, by_sample(rows, axis)) for band, (first, rows) in groups.items()})
    (logs,) = carry.measure()
    (state,), (bands,) = carry.states, carry.bands
    return {band: (low, from_samples(rows, shape, axis)) for band, rows in by_band(state, bands)}, low, logs


def added(groups: Groups) -> tuple[int, Carry]:
    """Add up rows (count, N, ·) of several bands: the first row, and all that are under way."""
    low = min(first for first, _ in groups.values())
    high = max(first + len(rows) for first, rows in groups.values())
    _, samples, width = next(iter(groups.values()))[1].shape
    carry = Carry.empty(high - low, samples, [width])
    for band, (first, rows) in groups.items():
        carry.enter(first - low, rows, band=band)
    return low, carry


def by_sample(value: Array, axis: int | None) -> Array:
    """Give rows (count, N, ·) of rows of a node, whose samples are along an axis of its value or all one."""
    moved = value[:, None] if axis is None else np.moveaxis(value, axis + 1, 1)
    return moved.reshape(*moved.shape[:2], -1)


def from_samples(rows: Array, shape: tuple[int, ...], axis: int | None) -> Array:
    """Give rows of a node of this shape from rows (count, N, ·)."""
    if axis is None:
        return rows.reshape(len(rows), *shape)
    left = tuple([size for k, size in enumerate(shape) if k != axis])
    return np.moveaxis(rows.reshape(*rows.shape[:2], *left), 1, axis + 1)
