"""Work space that outlives a sweep: pages that are touched for the first time cost more than the arithmetic on them.

In: shapes, or what makes the arrays of a walk. Out: arrays. What is kept for the next sweep is at most `MOST_BYTES`
that wait in the process, and as much in each thread; where more would be kept, all that was kept before is let go.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import numpy as np

from rnngraph.autodiff.contribution import Array

MOST_BYTES = 128_000_000
_LARGEST, _LARGEST_SPACE = 4_000_000, 32_000_000  # bytes of one array, and of the arrays of one key, that are kept
_SMALLEST = 65_536  # bytes: what is smaller comes from memory that the process has
_LOCAL = threading.local()


class Space(Protocol):
    """Arrays that are worked in, and their size."""

    bytes: int


Worked = TypeVar("Worked", bound=Space)


def workspace(key: Hashable, make: Callable[[], Worked]) -> Worked:
    """Give the arrays of a key, with anything in them, until they are asked for again by this thread."""
    spaces: dict[Hashable, Worked] = _LOCAL.__dict__.setdefault("spaces", {})
    found = spaces.get(key)
    if found is None:
        found = make()
        if found.bytes <= _LARGEST_SPACE:
            if sum(one.bytes for one in spaces.values()) + found.bytes > MOST_BYTES:
                spaces.clear()
            spaces[key] = found
    return found


class _Waiting:
    """Memory of arrays that nobody holds any more, by size."""

    def __init__(self) -> None:
        self.bytes = 0
        self._blocks: defaultdict[int, list[bytearray]] = defaultdict(list)
        self._lent: dict[int, tuple[weakref.ref[Array], bytearray]] = {}
        self._lock = threading.RLock()  # an array may die, and its memory come back, while another is asked for

    def take(self, size: int) -> bytearray:
        """Give memory of a size."""
        with self._lock:
            blocks = self._blocks[size]
            if not blocks:
                return bytearray(size)
            self.bytes -= size
            return blocks.pop()

    def lend(self, array: Array, memory: bytearray) -> None:
        """Take the memory back when the array is gone."""
        key = id(array)
        self._lent[key] = weakref.ref(array, lambda _: self._come_back(key)), memory

    def _come_back(self, key: int) -> None:
        with self._lock:
            _, memory = self._lent.pop(key)
            if self.bytes + len(memory) > MOST_BYTES:
                self._blocks.clear()
                self.bytes = 0
            self._blocks[len(memory)].append(memory)
            self.bytes += len(memory)


WAITING = _Waiting()


def recycled(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Give a new array, with anything in it, in the memory of one that nobody holds any more where there is such.

    The memory comes back when the array and all of its views are gone.
    """
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    memory = WAITING.take(size)
    # Views of an array whose memory is no array have it as their base, so that it lives as long as they do.
    array: Array = np.ndarray(shape, dtype, buffer=memory)
    WAITING.lend(array, memory)
    return array


def transposed(matrix: Array) -> Array:
    """Copy the transpose of a matrix, of which products are faster than of a view."""
    found = recycled(matrix.shape[::-1], matrix.dtype)
    for first in range(0, len(matrix), 16):  # a few lines of the cache at a time
        found[:, first : first + 16] = matrix[first : first + 16].T
    return found
