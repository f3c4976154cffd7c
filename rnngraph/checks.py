"""Checks of what a user hands in that every part of the package makes; it imports the errors and NumPy only.

In: a value and what to call it. Out: the same as a plain number or array, or one sentence that names the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rnngraph.errors import InputError

_MOST_DIGITS = 18  # Python refuses to read thousands


def is_whole(value: object) -> TypeGuard[int]:
    """Tell a whole number, Python's or NumPy's, from anything else; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def digits(text: str) -> int | None:
    """Read a whole number of at least 0; None where it is none, or has more digits than any machine counts to."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def whole_number(value: object, label: str, *, least: int) -> int:
    """Take a whole number.

    Raises:
        InputError: something else, or a number below `least`.
    """
    if not is_whole(value) or value < least:
        raise InputError(f"{label} is {value!r}; it must be a whole number of at least {least}.")
    return int(value)


def listed(only: str | Sequence[str] | None, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """Take names of what alone is wanted; nothing where that is all.

    Raises:
        InputError: no names, or one that is none of those that are `known`.
    """
    names = (only,) if isinstance(only, str) else () if only is None else only
    if not isinstance(names, list | tuple | set) or not all(isinstance(name, str) for name in names):
        raise InputError(f"only= is {only!r:.60}; pass a name, or a list of names.")
    for name in names:
        if known is not None and name not in known:
            raise InputError(f"there is no recurrence {name!r}; only= can name {', '.join(known)}.")
    return tuple(names)


def rectangular(given: Any, label: str, *, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """Take whatever NumPy makes an array of.

    Raises:
        InputError: rows of different lengths.
    """
    try:
        return np.asarray(given, dtype=dtype)
    except ValueError as error:
        raise InputError(f"{label} is no rectangular array: {error}") from None
