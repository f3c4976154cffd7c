"""Elements that arrays of places or a boolean mask pick: the contribution that belongs to them, and masks made quick.

In: arrays with leading axes, where many cotangents are walked at once, and an index into the others. Out: rows of what
is picked, or their sum into a whole. A mask is one `take`, where NumPy's own indexing is several times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array


@dataclass(frozen=True, slots=True)
class Scatter:
    """Rows that belong to `input[index]` where the index may name an element twice; both count."""

    index: tuple[Any, ...]
    rows: Array

    def add_to(self, total: Array, lead: int) -> None:
        """Add every row where its index points."""
        at = (slice(None),) * lead + self.index
        mask = whole_mask(self.index, total.shape[lead:]) if lead else None
        if mask is not None:
            add_picked(total, mask, self.rows)
        elif lead and not stays_in_place(self.index):
            for one, rows in zip(total, self.rows, strict=True):
                Scatter(self.index, rows).add_to(one, lead - 1)
        elif all(np.asarray(part).dtype == bool for part in self.index if isinstance(part, np.ndarray | list)):
            total[at] += self.rows  # a mask names no element twice
        else:
            np.add.at(total, at, self.rows)


def stays_in_place(index: tuple[Any, ...]) -> bool:
    """Tell whether an index picks the same with leading axes: NumPy moves the axes of arrays that a slice separates."""
    if not any(isinstance(part, np.ndarray | list) for part in index):
        return True
    fancy = [k for k, part in enumerate(index) if not (isinstance(part, slice) or part is None or part is Ellipsis)]
    return fancy == list(range(fancy[0], fancy[-1] + 1))


def whole_mask(index: tuple[Any, ...], shape: tuple[int, ...]) -> Array | None:
    """Give the mask where an index is one mask over an array of this shape and nothing else."""
    if len(index) != 1 or not isinstance(index[0], np.ndarray):
        return None
    mask = index[0]
    return mask if mask.dtype == bool and mask.shape == shape and mask.ndim else None


def pick(whole: Array, mask: Array, lead: int) -> Array:
    """Give `whole[..., mask]`, a copy, where `lead` axes stand in front of those of the mask."""
    shape = whole.shape[:lead]
    flat = whole.reshape(*shape, mask.size)
    return flat.take(np.flatnonzero(mask), axis=-1)


def add_picked(total: Array, mask: Array, rows: Array) -> None:
    """Add rows where the mask is true; they end with one axis, that of the picked elements."""
    flat, count = mask.reshape(-1), rows.shape[-1]
    places = np.where(flat, np.cumsum(flat) - 1, count)  # elsewhere a zero is added, which stands behind the rows
    padded = np.concatenate([rows, np.zeros((*rows.shape[:-1], 1), rows.dtype)], axis=-1)
    total += padded.take(places, axis=-1).reshape(total.shape)


def apart(indices: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[list[Array], Array] | None:
    """Give the masks, and what they cover together; None where an index is no mask, or two name one element."""
    masks: list[Array] = []
    covered = np.zeros(shape, bool)
    for index in indices:
        mask = whole_mask(index, shape)
        if mask is None or (covered & mask).any():
            return None
        masks.append(mask)
        covered |= mask
    return masks, covered
