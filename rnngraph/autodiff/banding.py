"""Rows of losses at one state, brought into the band of their norm; see `block/carry.py` for the bands.

In: what reached a state in each band. Out: the same rows, each sample of each in one band, and ln of their norms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block.carry import BAND, LOG_BAND
from rnngraph.autodiff.contribution import Array
from rnngraph.norms import row_norms

Groups: TypeAlias = dict[int, tuple[int, Array]]  # band -> (first row, rows (count, ...))
_NOWHERE = -(1 << 40)  # the exponent of a row of zeros


def settled(groups: Groups, axis: int | None, see: Callable[[int, Array], None]) -> Groups:
    """Tell the norms of a state's rows, and bring each row and sample into the band of its norm.

    Args:
        groups: what reached the state.
        axis: that of the samples in the state's value; None where there is none.
        see: is called with the first row and the logs (rows, samples).
    """
    if not groups:
        return groups
    low = min(first for first, _ in groups.values())
    high = max(first + len(value) for first, value in groups.values())
    norms = {}
    for band, (first, value) in groups.items():
        own = row_norms(by_sample(value, axis))
        norms[band] = found = np.zeros((high - low, own.shape[1]))
        found[first - low : first - low + len(value)] = own
    if len(groups) == 1:
        ((band, norm),) = norms.items()
        inside = (norm == 0) | ~np.isfinite(norm) | ((norm > 2.0 ** -(BAND // 2)) & (norm < 2.0 ** (BAND // 2)))
        if inside.all():
            see(low, np.log(norm) + band * LOG_BAND)
            return groups
    groups = _rebanded(groups, norms, axis, (low, high))
    log = np.full((high - low, next(iter(norms.values())).shape[1]), -np.inf)
    for band, (_, value) in groups.items():
        np.maximum(log, np.log(row_norms(by_sample(value, axis))) + band * LOG_BAND, out=log)  # one band has each
    see(low, log)
    return groups


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


def _rebanded(groups: Groups, norms: dict[int, Array], axis: int | None, run: tuple[int, int]) -> Groups:
    low, high = run
    exponent = np.full(next(iter(norms.values())).shape, _NOWHERE)
    for band, norm in norms.items():
        known = (norm > 0) & np.isfinite(norm)
        own = np.frexp(np.where(known, norm, 1.0))[1] + band * BAND
        exponent = np.where(known, np.maximum(exponent, own), exponent)
        exponent = np.where(~np.isfinite(norm), np.maximum(exponent, band * BAND), exponent)
    target = np.round(exponent / BAND).astype(np.int64)
    found: Groups = {}
    for wanted in np.unique(target[exponent > _NOWHERE]).tolist():
        chosen = target == wanted
        total: Array | None = None
        for band, (first, value) in groups.items():
            shape = [len(chosen)] + [1] * (value.ndim - 1)
            if axis is not None:
                shape[axis + 1] = chosen.shape[1]
            picked = np.where(chosen.reshape(shape)[first - low : first - low + len(value)], value, 0)
            part = np.zeros((high - low, *value.shape[1:]))
            part[first - low : first - low + len(value)] = np.ldexp(picked, (band - wanted) * BAND)
            total = part if total is None else total + part
        if total is not None:
            found[wanted] = low, total
    return found
