"""The methods of arrays, such as `x.dot(y)` and `x.T`: each is the function of that name."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.along import CAST
from rnngraph.autodiff.ops import DETACH
from rnngraph.numpy import dispatch
from rnngraph.numpy.tables import RULES, VALUES, lost, refusal
from rnngraph.numpy.values import wrapped

NAMES = {"flatten": "ravel", "conj": "positive", "conjugate": "positive"}
LOSING = ("item", "tolist", "tobytes", "dump", "tofile", "flat", "data", "base", "ctypes")


class Methods:
    """What an array has beside its operators; of a plain one, NumPy's own."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Give the function of that name, bound to this array."""
        if name.startswith("_"):
            raise AttributeError(name)
        array: Any = self
        if array.plain is not None:
            found = getattr(array.plain, name)
            return (lambda *a, **k: wrapped(found(*a, **k))) if callable(found) else found
        function = getattr(np, NAMES.get(name, name), None)
        if function in RULES or function in VALUES:
            return lambda *a, **k: dispatch.function(function, (array, *a), k)
        if hasattr(np.ndarray, name):
            calls = callable(getattr(np.ndarray, name))
            if calls or name in LOSING:
                raise lost(f".{name}" + "()" * calls) if name in LOSING else refusal(name)
            return getattr(array._whole(), name)
        raise AttributeError(f"a recorded array has no .{name}, as NumPy's have none")

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        array: Any = self
        return wrapped(array.plain.T) if array.plain is not None else array.transpose()

    mT = property(lambda self: self.swapaxes(-1, -2))  # noqa: N815 - NumPy's name
    size = property(lambda self: self._whole().size)
    real = property(lambda self: self)

    def dot(self, other: Any, out: Any = None) -> Any:
        """Give the matrix product."""
        found = dispatch.quick_product(self, other) if out is None else None
        if found is not None:
            return found
        return dispatch.function(np.dot, (self, other), {} if out is None else {"out": out})

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
        """Give the same numbers with other axes."""
        order = axes[0] if len(axes) == 1 else axes or None
        return dispatch.function(np.transpose, (self, order), {})

    def copy(self, order: str = "C") -> Any:
        """Give an array of its own."""
        return dispatch.copied(self)  # type: ignore[arg-type]

    def fill(self, given: Any) -> None:
        """Put one value everywhere."""
        array: Any = self
        array[...] = given

    def astype(self, dtype: Any, **options: Any) -> Any:
        """Give the same numbers in another dtype; whole numbers and booleans have no gradient."""
        array: Any = self
        if array.plain is not None:
            return wrapped(array.plain.astype(dtype, **options))
        target = np.dtype(dtype)
        if target.kind != "f":
            return array.value.astype(target)
        return array.copy() if target == array.dtype else array.tape.record(CAST, (array.id,), {"dtype": target})

    def detach(self) -> Any:
        """Cut the gradient; for those who use `rnngraph.numpy` knowingly."""
        array: Any = self
        return array if array.plain is not None else array.tape.record(DETACH, (array.id,), {})
