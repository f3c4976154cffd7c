"""Weight norm: a weight that is stored as its rows' lengths and directions is put together.

In: `StoredArray`s by name. Out: the same with `weight_hh_l0_g` and `weight_hh_l0_v` replaced by `weight_hh_l0`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.checkpoint.files import StoredArray

_PARAMETRIZED = "parametrizations."


def without_weight_norm(arrays: Mapping[str, StoredArray]) -> tuple[dict[str, StoredArray], tuple[str, ...]]:
    """Fold every pair of a length and a direction into the weight that they stand for.

    Returns:
        the arrays, a folded one in its direction's place, and the names of the folded ones.
    """
    directions: dict[str, tuple[str, str]] = {}  # by the name of a direction: its length and the weight
    for name in arrays:
        pair = _pair(name)
        if pair is not None and pair[0] in arrays and _fit(arrays[pair[0]].shape, arrays[name].shape):
            directions[name] = pair
    lengths = {length for length, _ in directions.values()}
    found: dict[str, StoredArray] = {}
    for name, array in arrays.items():
        if name in directions:
            length, weight = directions[name]
            found[weight] = _folded(weight, arrays[length], array)
        elif name not in lengths:
            found[name] = array
    return found, tuple(weight for _, weight in directions.values())


def _pair(direction: str) -> tuple[str, str] | None:
    """Name the length that belongs to a direction, and the weight of both."""
    if direction.endswith("_v") and "weight" in direction.rpartition(".")[2]:
        return direction.removesuffix("_v") + "_g", direction.removesuffix("_v")
    if direction.endswith(".original1") and _PARAMETRIZED in direction:
        stem = direction.removesuffix(".original1")
        prefix, _, weight = stem.rpartition(_PARAMETRIZED)
        return f"{stem}.original0", prefix + weight
    return None


def _fit(length: tuple[int, ...], direction: tuple[int, ...]) -> bool:
    """Tell a length a row (or a column, or one for all) from an array that only happens to have the name."""
    if math.prod(length) == 1:
        return True
    fits = len(length) == len(direction) and 1 in length
    return fits and all(one in (1, other) for one, other in zip(length, direction, strict=True))


def _folded(name: str, length: StoredArray, direction: StoredArray) -> StoredArray:
    def read() -> Array:
        g, v = length.read(), direction.read()
        axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1)
        squares = np.square(v, dtype=np.float64).sum(axis=axes, keepdims=True)
        g = g if g.ndim == v.ndim else g.reshape(())
        with np.errstate(all="ignore"):  # a direction of zeros gives NaN, which is a finding
            return np.asarray((g * v / np.sqrt(squares)).astype(v.dtype))

    return replace(direction, name=name, reader=read)
