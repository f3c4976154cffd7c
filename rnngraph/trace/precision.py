"""What is known of a kind of number by its name: how finely it tells two numbers apart, and how large it becomes.

In: the dtype of a trace, which may be one that NumPy does not have. Out: its `Precision`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Precision(NamedTuple):
    """The distance from 1 to the next number, and the largest number."""

    eps: float
    largest: float


_OTHERS = {"bfloat16": Precision(2.0**-7, (2 - 2.0**-7) * 2.0**127)}  # IEEE 754 has none of it, nor has NumPy


def is_kind(dtype: str) -> bool:
    """Tell the name of a kind of number."""
    return dtype in _OTHERS or issubclass(np.sctypeDict.get(dtype, str), np.number | np.bool_)


def precision_of(dtype: str) -> Precision:
    """Give the precision of a kind of number; of one that has no fractions, that of a float64."""
    if dtype in _OTHERS:
        return _OTHERS[dtype]
    kind = np.sctypeDict.get(dtype, np.float64)
    about = np.finfo(kind if issubclass(kind, np.floating) else np.float64)
    return Precision(float(about.eps), float(about.max))
