"""Norms with what is known of them: a number, an exact zero, an underflow, not finite, or not observed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngraph.norms import all_finite

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def lengthened(column: NDArray[Any], time: int, filler: float) -> NDArray[Any]:
    """Bring the last axis of a column to a length."""
    missing = time - column.shape[-1]
    if not missing:
        return column
    return np.concatenate([column, np.full((*column.shape[:-1], missing), filler, column.dtype)], axis=-1)


class Status(IntEnum):
    """What is known of a magnitude; a number can be read only where it is `OK`."""

    OK = 0
    ZERO = 1
    UNDERFLOW = 2
    NONFINITE = 3
    UNOBSERVED = 4


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """Norms with their status, element by element.

    `value` is 0.0 where the status is `ZERO` or `UNDERFLOW` and NaN where it is `NONFINITE` or `UNOBSERVED`.
    """

    value: Floats
    status: NDArray[np.uint8]

    def __getitem__(self, index: Any) -> Magnitudes:
        """Select elements, as the same index selects them from an array."""
        return Magnitudes(np.asarray(self.value[index]), np.asarray(self.status[index]))

    @property
    def log10(self) -> Floats:
        """The decimal logarithm where the status is `OK`, NaN elsewhere."""
        known = self.status == Status.OK
        return np.where(known, np.log10(np.where(known, self.value, 1.0)), np.nan)

    def lengthened(self, time: int) -> Magnitudes:
        """Bring the last axis to the length of a trace; what is added is "not observed"."""
        status = lengthened(self.status, time, Status.UNOBSERVED)
        return Magnitudes(lengthened(self.value, time, np.nan), status)

    @classmethod
    def of(cls, value: Any) -> Magnitudes:
        """Take plain norms: 0 is exact zero, infinity or NaN is non-finite."""
        if isinstance(value, float):  # of which NumPy takes long to make arrays at every step
            known = math.isfinite(value)
            only = int(value == 0) if known else int(Status.NONFINITE)
            return cls(np.array(value if known else np.nan), np.array(only, np.uint8))
        value = np.array(value, dtype=np.float64)
        status = np.asarray(value == 0).view(np.uint8)  # OK is 0 and ZERO is 1
        if not all_finite(value):
            finite = np.isfinite(value)
            status[~finite] = Status.NONFINITE
            value[~finite] = np.nan
        return cls(value, status)

    @classmethod
    def unobserved(cls, shape: tuple[int, ...] = ()) -> Magnitudes:
        """Magnitudes of which nothing is known."""
        return cls(np.full(shape, np.nan), np.full(shape, Status.UNOBSERVED, dtype=np.uint8))
