"""The handle a user computes with: a tape, a node id, and the operators that record new nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array
from rnngraph.checks import rectangular
from rnngraph.errors import DtypeError, InputError

if TYPE_CHECKING:
    from rnngraph.autodiff.tape import Entry, Tape

Operand: TypeAlias = "Tensor | Array | float | int"


class Tensor:
    """A value on a tape. Operators with arrays and numbers record those as constants."""

    __slots__ = ("id", "tape")
    __array_ufunc__ = None  # NumPy hands `array + tensor` to the tensor

    def __init__(self, tape: Tape, node_id: int) -> None:
        """Refer to a node; tensors come from `Tape.input` and from operators."""
        self.tape = tape
        self.id = node_id

    @property
    def node(self) -> Entry:
        """The recorded node, or the block whose output this is."""
        return self.tape.entry(self.id)

    @property
    def value(self) -> Array:
        """The value; the tape's own array, not to be written to."""
        return self.tape.entry(self.id).value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.value.dtype

    def __repr__(self) -> str:
        """Say which node this is and what it holds."""
        return f"Tensor({self.node.describe()}, shape={self.shape}, dtype={self.dtype})"

    def __len__(self) -> int:
        """The size of the first axis."""
        return len(self.value)

    def __bool__(self) -> bool:
        """Refuse: the truth of a tensor is not recorded."""
        raise InputError("a tensor has no truth value; compare its .value, which is a NumPy array.")

    def __add__(self, other: Operand) -> Tensor:
        """Record `self + other`."""
        return self.tape.apply(ops.ADD, self, self._lift(other))

    def __radd__(self, other: Operand) -> Tensor:
        """Record `other + self`."""
        return self.tape.apply(ops.ADD, self._lift(other), self)

    def __sub__(self, other: Operand) -> Tensor:
        """Record `self - other`."""
        return self.tape.apply(ops.SUBTRACT, self, self._lift(other))

    def __rsub__(self, other: Operand) -> Tensor:
        """Record `other - self`."""
        return self.tape.apply(ops.SUBTRACT, self._lift(other), self)

    def __mul__(self, other: Operand) -> Tensor:
        """Record `self * other`, element by element."""
        return self.tape.apply(ops.MULTIPLY, self, self._lift(other))

    def __rmul__(self, other: Operand) -> Tensor:
        """Record `other * self`."""
        return self.tape.apply(ops.MULTIPLY, self._lift(other), self)

    def __truediv__(self, other: Operand) -> Tensor:
        """Record `self / other`."""
        return self.tape.apply(ops.DIVIDE, self, self._lift(other))

    def __rtruediv__(self, other: Operand) -> Tensor:
        """Record `other / self`."""
        return self.tape.apply(ops.DIVIDE, self._lift(other), self)

    def __matmul__(self, other: Operand) -> Tensor:
        """Record the matrix product; both sides need at least two axes."""
        return self.tape.apply(ops.MATMUL, self, self._lift(other))

    def __rmatmul__(self, other: Operand) -> Tensor:
        """Record `other @ self`."""
        return self.tape.apply(ops.MATMUL, self._lift(other), self)

    def __neg__(self) -> Tensor:
        """Record `-self`."""
        return self.tape.apply(ops.NEGATE, self)

    def __pow__(self, exponent: float) -> Tensor:
        """Record `self ** exponent` for a number."""
        if not isinstance(exponent, int | float | np.integer):
            raise InputError(f"the exponent is a {type(exponent).__name__}; only a number is supported.")
        return self.tape.apply(ops.POWER, self, exponent=exponent)

    def __getitem__(self, index: Any) -> Tensor:
        """Record indexing or slicing, with integers, slices, `...`, None or integer arrays."""
        return self.tape.apply(ops.INDEX, self, index=index if isinstance(index, tuple) else (index,))

    def tanh(self) -> Tensor:
        """Record the hyperbolic tangent."""
        return self.tape.apply(ops.TANH, self)

    def sigmoid(self) -> Tensor:
        """Record the logistic function."""
        return self.tape.apply(ops.SIGMOID, self)

    def relu(self) -> Tensor:
        """Record `max(self, 0)`."""
        return self.tape.apply(ops.RELU, self)

    def exp(self) -> Tensor:
        """Record the exponential."""
        return self.tape.apply(ops.EXP, self)

    def log(self) -> Tensor:
        """Record the natural logarithm."""
        return self.tape.apply(ops.LOG, self)

    def sum(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Tensor:
        """Record the sum over `axis`, over everything by default."""
        return self.tape.apply(ops.SUM, self, axis=self._axes(axis), keepdims=keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Tensor:
        """Record the mean over `axis`, over everything by default."""
        return self.tape.apply(ops.MEAN, self, axis=self._axes(axis), keepdims=keepdims)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Record a change of shape, given as numbers or as one tuple; one size may be -1."""
        return self.tape.apply(ops.RESHAPE, self, shape=_one_tuple(shape))

    def transpose(self, *axes: int | tuple[int, ...]) -> Tensor:
        """Record a permutation of all axes, given as numbers or as one tuple; their reversal by default."""
        order = _one_tuple(axes) or tuple(range(self.ndim))[::-1]
        known = all(isinstance(axis, int | np.integer) and -self.ndim <= axis < self.ndim for axis in order)
        if not known or sorted(axis % self.ndim for axis in order) != list(range(self.ndim)):
            raise InputError(f"axes {order} do not name each axis of a tensor of shape {self.shape} once.")
        return self.tape.apply(ops.TRANSPOSE, self, axes=tuple(int(axis) % self.ndim for axis in order))

    def detach(self) -> Tensor:
        """Record a copy of the value through which no gradient passes; the trace knows the cut."""
        return self.tape.apply(ops.DETACH, self)

    def _lift(self, other: Operand) -> Tensor:
        if isinstance(other, Tensor):
            return other
        # A number takes a floating tensor's dtype, so that float32 stays float32; tokens * 0.5 is no token.
        plain = isinstance(other, int | float) and self.dtype.kind == "f"
        return self.tape.constant(_operand(other, self.dtype if plain else None))

    def _axes(self, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
        # Counted from the end, so that the rule also holds with leading axes on the cotangent.
        chosen = tuple(range(self.ndim)) if axis is None else _one_tuple((axis,))
        for one in chosen:
            if not isinstance(one, int | np.integer) or not -self.ndim <= one < self.ndim:
                raise InputError(f"axis {one!r} is outside a tensor of shape {self.shape}.")
        counted = tuple(int(one) - self.ndim if one >= 0 else int(one) for one in chosen)
        if len(set(counted)) < len(counted):
            raise InputError(f"axis {axis} names an axis of a tensor of shape {self.shape} twice.")
        return counted


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Record the tensors joined along an existing axis."""
    first = _first(tensors, "concatenate", axis)
    return first.tape.apply(ops.CONCATENATE, *tensors, axis=axis - first.ndim if axis >= 0 else axis)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Record the tensors joined along a new axis."""
    first = _first(tensors, "stack", axis)
    return first.tape.apply(ops.STACK, *tensors, axis=axis - first.ndim - 1 if axis >= 0 else axis)


def where(mask: Any, chosen: Operand, other: Operand) -> Tensor:
    """Record `chosen` where the boolean `mask` is true and `other` elsewhere; one of the two may be an array."""
    first = chosen if isinstance(chosen, Tensor) else other
    if not isinstance(first, Tensor):
        raise InputError(f"where got a {type(chosen).__name__} and a {type(other).__name__}; one must be a Tensor.")
    choice = np.asarray(mask.value if isinstance(mask, Tensor) else mask, dtype=bool)
    return first.tape.apply(ops.WHERE, first._lift(chosen), first._lift(other), mask=choice)


def _first(tensors: Sequence[Tensor], name: str, axis: int) -> Tensor:
    if not isinstance(tensors, Iterable | Tensor):
        raise InputError(f"{name} got a {type(tensors).__name__}; it takes a list of Tensors.")
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        raise InputError(f"{name} got no tensors; pass at least one.")
    other = [tensor for tensor in given if not isinstance(tensor, Tensor)]
    if other or isinstance(tensors, Tensor):
        found = type(other[0]).__name__ if other else "single Tensor"
        raise InputError(f"{name} got a {found}; it takes a list of Tensors: record an array with tape.input(array).")
    if not isinstance(axis, int | np.integer):
        raise InputError(f"{name} got the axis {axis!r}; pass a whole number.")
    return given[0]


def _operand(other: Any, dtype: np.dtype[Any] | None) -> Array:
    array = rectangular(other, "the other side of an operator", dtype=dtype)
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"a tensor cannot be combined with {other!r:.40}; pass a Tensor, an array or a number.")
    return array


def _one_tuple(given: Any) -> tuple[Any, ...]:
    """Take numbers as they are, or out of the one tuple or list that was given."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return tuple(given[0])
    return tuple(given)
