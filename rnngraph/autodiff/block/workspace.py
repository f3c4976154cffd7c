"""Work space that outlives a sweep: pages that are touched for the first time cost more than the arithmetic on them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array

_KEPT = 64  # arrays; a window's are small
_LARGEST = 4_000_000  # bytes of one that is kept
_LOCAL = threading.local()


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
