"""What Python and NumPy ask of an array: operators, ufuncs, functions, conversions and copies.

A conversion with which a gradient would be lost raises one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rnngraph.autodiff.contribution import Array
from rnngraph.numpy import dispatch
from rnngraph.numpy.tables import UFUNCS, lost


def _operator(function: np.ufunc) -> Callable[[Any, Any], Any]:
    """Make an operator of a ufunc that is one op."""
    op = UFUNCS[function]

    def operate(self: Any, other: Any) -> Any:
        found = dispatch.quick(op, function, self, other)
        return function(self, other) if found is None else found

    return operate


class Protocols(NDArrayOperatorsMixin):
    """The protocols of a recording array."""

    __slots__ = ()
    tape: Any
    value: Any
    ndim: Any
    requires: Any
    plain: Any

    # ---- the operators that are used most, without the way through NumPy
    __add__, __sub__, __mul__ = map(_operator, (np.add, np.subtract, np.multiply))

    def __matmul__(self, other: Any) -> Any:
        """Record `self @ other`."""
        return dispatch.product(self, other) if self.plain is None else np.matmul(self, other)

    # ---- NumPy's protocols
    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, out: Any = None, **options: Any) -> Any:
        """Record a ufunc."""
        return dispatch.ufunc(ufunc, method, given, out, options)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        """Record a function."""
        return dispatch.function(function, given, options)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        """Give a plain array where no gradient is lost with it."""
        self._refuse(
            "making a plain NumPy array of it (item assignment into a plain array, plotting, a compiled function)"
        )
        return np.array(self.value, dtype)

    def __float__(self) -> float:
        """Give a number where no gradient is lost with it."""
        self._refuse("float(...)")
        return float(self.value)

    def _refuse(self, what: str) -> None:
        if self.requires and not self.tape.closed:
            error = lost(what)
            self.tape.refused.append(str(error))
            raise error

    def __int__(self) -> int:
        """Give a whole number; rounding has no gradient."""
        return int(self.value)

    __index__ = None

    def __bool__(self) -> bool:
        """Give the truth of one element; NumPy refuses more."""
        return bool(self.value)

    def __format__(self, spec: str) -> str:
        """Write the number into text."""
        return format(self.value.item() if not self.ndim else self.value, spec)

    def __str__(self) -> str:
        """Show the numbers."""
        return str(self.value)

    def __reduce__(self) -> Any:
        """Pickle and copy the numbers alone."""
        return np.array, (self.value,)

    def __copy__(self) -> Any:
        """Give an array of the same value."""
        return dispatch.copied(self)  # type: ignore[arg-type]

    def __deepcopy__(self, memo: Any) -> Any:
        """Give an array of the same value."""
        return dispatch.copied(self)  # type: ignore[arg-type]
