"""NumPy with arrays that can be filled with recorded values: `import rnngraph.numpy as np`.

Every name of NumPy is there. Ufuncs and dispatched functions are NumPy's own, which ask the arrays; functions that make
arrays give recording ones; lists of recorded values, which NumPy does not see into, are looked into here.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from rnngraph.numpy import dispatch
from rnngraph.numpy.beside import stand_in
from rnngraph.numpy.tables import RULES, refusal
from rnngraph.numpy.values import Handle, recorded_in, unwrapped, value_of, wrapped

MAKERS = (
    "zeros", "ones", "empty", "full", "eye", "identity", "zeros_like", "ones_like", "empty_like", "full_like", "array",
    "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "copy", "linspace", "arange", "fromiter",
    "frombuffer", "loadtxt", "genfromtxt", "tri", "fromfunction", "logspace", "geomspace", "meshgrid",
)  # fmt: skip

_LEFT_TO_CHANCE: frozenset[Any] = frozenset((np.empty, np.empty_like))


class _IsArray(type):
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, np.ndarray | Handle)


class ndarray(metaclass=_IsArray):  # noqa: N801 - NumPy's name
    """The class of arrays, recording or not, for isinstance."""


class Random:
    """`np.random`: what it draws can be filled with recorded values, and what it is told are values."""

    def __getattr__(self, name: str) -> Any:
        """Give a function of `np.random`."""
        found = getattr(np.random, name)
        if isinstance(found, type) or not callable(found) or name in ("seed", "set_state", "get_state", "default_rng"):
            return found
        return lambda *given, **options: wrapped(found(*value_of(given), **value_of(options)))


random = Random()


class Joins:
    """`np.r_` and `np.c_`: what stands in the brackets is joined, vectors as rows or as columns."""

    def __init__(self, joins: Any) -> None:
        """Take NumPy's own."""
        self._joins = joins

    def __getitem__(self, given: Any) -> Any:
        """Join; a slice is the numbers that it counts."""
        parts = given if isinstance(given, tuple) else (given,)
        source = recorded_in(parts)
        if source is None:
            return wrapped(self._joins[unwrapped(given)])
        if any(isinstance(one, str) for one in parts):
            raise refusal("r_ or c_ with a string")
        made = [self._part(one, source) for one in parts]
        return np.concatenate(made, -1 if self._joins is np.c_ else 0)

    def _part(self, one: Any, source: Any) -> Any:
        if isinstance(one, slice):
            return self._joins[one]
        one = np.atleast_1d(dispatch.lifted(one, source))
        return one.reshape(-1, 1) if self._joins is np.c_ and one.ndim == 1 else one


def look_up(name: str) -> Any:
    """Give what stands for a name of NumPy.

    Raises:
        AttributeError: NumPy has no such name.
    """
    if name == "ndarray":
        return ndarray
    if name == "random":
        return random
    if name == "vectorize":
        return lambda *given, **options: stand_in(np.vectorize(*given, **options))
    found = getattr(np, name)
    if found is np.r_ or found is np.c_:
        return Joins(found)
    if name in MAKERS:
        return _maker(found)
    plain = isinstance(found, type | types.ModuleType | np.ufunc) or not callable(found)
    return found if plain else _looking(found)


def _maker(function: Any) -> Any:
    """Make a function of NumPy that makes arrays give recording ones."""

    @functools.wraps(function)
    def made(*given: Any, **options: Any) -> Any:
        given, options = tuple(unwrapped(list(given))), {key: unwrapped(one) for key, one in options.items()}
        source = recorded_in([*given, *options.values()])
        if source is None:
            found = function(*given, **options)
            if function in _LEFT_TO_CHANCE and found.dtype.kind == "f":
                found.fill(0)  # what stood there, which may be NaN, is nothing that was computed
            # A fresh array has unlike parts; one that is the user's own must not be written to.
            own = any(found is one for one in given)
            return wrapped(found.copy() if own else found)
        if function in RULES:
            return _cast(RULES[function](*map(dispatch.stacked, given[:1]), *given[1:], **options), given, options)
        raise refusal(function.__name__)

    return made


def _cast(x: Any, given: tuple[Any, ...], options: dict[str, Any]) -> Any:
    dtype = options.get("dtype", given[1] if len(given) > 1 and not isinstance(given[1], Handle) else None)
    known = isinstance(dtype, type | np.dtype | str) and dtype not in ("C", "F", "K", "A")
    return x.astype(dtype) if known and isinstance(x, Handle) else x


def _looking(function: Any) -> Any:
    """Make a function of NumPy look into lists."""

    @functools.wraps(function)
    def called(*given: Any, **options: Any) -> Any:
        return dispatch.function(function, given, options)

    return called
