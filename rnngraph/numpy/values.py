"""Look into what a user's code hands to NumPy: recording arrays, also inside lists, and their plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rnngraph.numpy.recorded import Recorded


class Handle:
    """What a recording array is told by."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Give what `Recorded` has."""

        def __setitem__(self, index: Any, given: Any) -> None:
            """Put something into a place."""


def recorded_in(x: Any) -> Recorded | None:
    """Find a recorded array, also inside lists and tuples."""
    if isinstance(x, Handle):
        return x if x.plain is None else None  # type: ignore[return-value]
    if isinstance(x, list | tuple):
        for one in x:
            found = recorded_in(one)
            if found is not None:
                return found
    return None


def unwrapped(x: Any) -> Any:
    """Give the plain array of one that nothing recorded was put into; the rest as it is."""
    if type(x) in (list, tuple):
        return type(x)([unwrapped(one) for one in x])
    if isinstance(x, Handle):
        plain = x.plain
        return x if plain is None else plain
    return x


def value_of(x: Any) -> Any:
    """Give values in place of recording arrays, also inside lists, tuples and slices."""
    kind = type(x)
    if kind is int or kind is slice:
        return x
    if kind is list or kind is tuple:
        return kind([value_of(one) for one in x])
    if kind is dict:
        return {key: value_of(one) for key, one in x.items()}
    return x.value if isinstance(x, Handle) else x


def wrapped(x: Any) -> Any:
    """Make an array of floats one that can be filled with recorded values."""
    from rnngraph.numpy.recorded import Recorded

    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim:
        return Recorded(None, -1, x)
    if type(x) in (list, tuple):
        return type(x)([wrapped(one) for one in x])
    return x
