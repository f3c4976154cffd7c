"""What Python, NumPy and a user's code ask of an array: operators, protocols, conversions, and methods.

A method such as `x.dot(y)` is the function of that name. A conversion with which a gradient would be lost raises one
sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rnngraph.autodiff.along import CAST
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import DETACH
from rnngraph.numpy import dispatch
from rnngraph.numpy.tables import RULES, UFUNCS, VALUES, lost, refusal
from rnngraph.numpy.values import wrapped

NAMES = {"flatten": "ravel", "conj": "positive", "conjugate": "positive"}
LOSING = ("item", "tolist", "tobytes", "dump", "tofile", "flat", "data", "base", "ctypes")


def _operator(function: np.ufunc) -> Callable[[Any, Any], Any]:
    """Make an operator of a ufunc that is one op."""
    op = UFUNCS[function]

    def operate(self: Any, other: Any) -> Any:
        found = dispatch.quick(op, function, self, other)
        return function(self, other) if found is None else found

    return operate


class Methods(NDArrayOperatorsMixin):
    """The face of a recording array; of a plain one, NumPy's own."""

    __slots__ = ()
    tape: Any
    id: Any
    value: Any
    ndim: Any
    dtype: Any
    requires: Any
    plain: Any
    _whole: Any
    __setitem__: Any

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
            "making a plain NumPy array of it (assignment into a plain array, plain.dot(it), np.matrix, plotting)"
        )
        return np.array(self.value, dtype)

    # ---- what Python asks
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

    # ---- methods
    def __getattr__(self, name: str) -> Any:
        """Give the function of that name, bound to this array."""
        if name.startswith("_"):
            raise AttributeError(name)
        if self.plain is not None:
            found = getattr(self.plain, name)
            return (lambda *a, **k: wrapped(found(*a, **k))) if callable(found) else found
        function = getattr(np, NAMES.get(name, name), None)
        if function in RULES or function in VALUES:
            return lambda *a, **k: dispatch.function(function, (self, *a), k)
        if hasattr(np.ndarray, name):
            calls = callable(getattr(np.ndarray, name))
            if calls or name in LOSING:
                raise lost(f".{name}" + "()" * calls) if name in LOSING else refusal(name)
            return getattr(self._whole(), name)
        raise AttributeError(f"a recorded array has no .{name}, as NumPy's have none")

    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))  # noqa: N815 - NumPy's name
    size = property(lambda self: self._whole().size)
    real = property(lambda self: self)

    def dot(self, other: Any, out: Any = None) -> Any:
        """Give the matrix product."""
        found = dispatch.quick_product(self, other) if out is None else None
        return dispatch.function(np.dot, (self, other), {"out": out}) if found is None else found

    def sum(self, *given: Any, **options: Any) -> Any:
        """Sum over axes."""
        return dispatch.function(np.sum, (self, *given), options)

    def mean(self, *given: Any, **options: Any) -> Any:
        """Take the mean over axes."""
        return dispatch.function(np.mean, (self, *given), options)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Give the same numbers in another shape."""
        wanted = shape[0] if len(shape) == 1 else shape
        return dispatch.function(np.reshape, (self, wanted), options)

    def transpose(self, *axes: Any) -> Any:
        """Give the same numbers with other axes, reversed where none are named."""
        order = axes[0] if len(axes) == 1 else axes or None
        return dispatch.function(np.transpose, (self, order), {})

    def copy(self, *_: Any, **__: Any) -> Any:
        """Give an array of its own with the same value."""
        return dispatch.copied(self)  # type: ignore[arg-type]

    __copy__ = __deepcopy__ = copy

    def fill(self, given: Any) -> None:
        """Put one value everywhere."""
        self[...] = given

    def astype(self, dtype: Any, **options: Any) -> Any:
        """Give the same numbers in another dtype; whole numbers and booleans have no gradient."""
        if self.plain is not None:
            return wrapped(self.plain.astype(dtype, **options))
        target = np.dtype(dtype)
        if target.kind != "f":
            return self.value.astype(target)
        return self.copy() if target == self.dtype else dispatch.operated(CAST, [self], {"dtype": target})

    def detach(self) -> Any:
        """Cut the gradient; for those who use `rnngraph.numpy` knowingly."""
        return self if self.plain is not None else dispatch.operated(DETACH, [self])
