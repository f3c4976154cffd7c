"""Work space that outlives a sweep: pages that are touched for the first time cost more than the arithmetic on them."""

from __future__ import annotations

import math
import threading
import weakref
from collections import defaultdict
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array

_KEPT = 64  # arrays; a window's are small
_LARGEST = 4_000_000  # bytes of one that is kept
_LOCAL = threading.local()
_SMALLEST = 65_536  # bytes: what is smaller comes from memory that the process has
_MOST_FREE = 8  # blocks of memory of one size that wait
_MOST_SIZES = 16
_FREE: defaultdict[int, list[bytearray]] = defaultdict(list)
_LENT: dict[int, tuple[weakref.ref[Array], bytearray]] = {}


def workspace(use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Give an array for one use, with anything in it, until it is asked for again by this thread."""
    arrays: dict[Any, Array] = _LOCAL.__dict__.setdefault("arrays", {})
    key = use, shape, dtype.num  # the number is hashed faster
    found = arrays.get(key)
    if found is None:
        found = np.empty(shape, dtype)
        if len(arrays) >= _KEPT:
            arrays.clear()
        if found.nbytes <= _LARGEST:
            arrays[key] = found
    return found


def recycled(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Give a new array, with anything in it, in the memory of one that nobody holds any more where there is such.

    The memory comes back when the array and all of its views are gone.
    """
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    free = _FREE[size]
    memory = free.pop() if free else bytearray(size)
    # Views of an array whose memory is no array have it as their base, so that it lives as long as they do.
    array: Array = np.ndarray(shape, dtype, buffer=memory)
    key = id(array)
    _LENT[key] = weakref.ref(array, lambda _: _come_back(key)), memory
    return array


def _come_back(key: int) -> None:
    _, memory = _LENT.pop(key)
    if len(_FREE) > _MOST_SIZES:
        _FREE.clear()
    free = _FREE[len(memory)]
    if len(free) < _MOST_FREE:
        free.append(memory)
