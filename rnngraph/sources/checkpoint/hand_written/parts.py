"""Arrays of a file cut, turned and put together, as the layouts of hand-written weights need; nothing is read before.

In: `StoredArray`s. Out: others, which read those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnngraph.sources.checkpoint.files import StoredArray


def grouped(arrays: Mapping[str, StoredArray], name: re.Pattern[str]) -> dict[str, dict[tuple[str, ...], StoredArray]]:
    """Gather arrays by the first group of a pattern of their names, what stands before; each by the other groups."""
    found: dict[str, dict[tuple[str, ...], StoredArray]] = {}
    for match in filter(None, map(name.match, arrays)):
        prefix, *rest = match.groups()
        found.setdefault(prefix, {})[tuple(rest)] = arrays[match.string]
    return found


def instead(
    arrays: Mapping[str, StoredArray], taken: Iterable[StoredArray], found: Mapping[str, StoredArray]
) -> dict[str, StoredArray]:
    """Put arrays in the place of those that they were made of."""
    gone = {id(one) for one in taken}
    return {name: one for name, one in arrays.items() if id(one) not in gone} | dict(found)


def part(array: StoredArray, axis: int, first: int, last: int) -> StoredArray:
    """Give what lies between two places of an axis."""
    shape = (*array.shape[:axis], last - first, *array.shape[axis + 1 :])
    return replace(array, shape=shape, reader=lambda: array.read()[(slice(None),) * axis + (slice(first, last),)])


def turned(array: StoredArray) -> StoredArray:
    """Give the transpose."""
    return replace(array, shape=array.shape[::-1], reader=lambda: array.read().T)


def flat(array: StoredArray) -> StoredArray:
    """Give a vector."""
    return replace(array, shape=(int(np.prod(array.shape)),), reader=lambda: array.read().reshape(-1))


def beside(some: Sequence[StoredArray], signs: Sequence[int]) -> StoredArray:
    """Give arrays side by side, along the last axis, each times its sign."""
    pairs = list(zip(signs, some, strict=True))
    shape = (*some[0].shape[:-1], sum(one.shape[-1] for one in some))
    return replace(
        some[0], name=names_of(some), shape=shape,
        reader=lambda: np.concatenate([sign * one.read() for sign, one in pairs], axis=-1),
    )  # fmt: skip


def names_of(some: Sequence[StoredArray]) -> str:
    """Name them all."""
    return ", ".join(one.name for one in some)
