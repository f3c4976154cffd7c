"""The handle a user computes with: a tape, a node id, and the operators that record new nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Node, Tape
from rnngraph.errors import InputError

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
    def node(self) -> Node:
        """The recorded node."""
        return self.tape.nodes[self.id]

    @property
    def value(self) -> Array:
        """The value; the tape's own array, not to be written to."""
        return self.tape.nodes[self.id].value

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
        if not isinstance(exponent, int | float):
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

    def reshape(self, *shape: int) -> Tensor:
        """Record a change of shape; one size may be -1."""
        return self.tape.apply(ops.RESHAPE, self, shape=shape)

    def transpose(self, *axes: int) -> Tensor:
        """Record a permutation of the axes, their reversal by default."""
        order = axes or tuple(range(self.ndim))[::-1]
        return self.tape.apply(ops.TRANSPOSE, self, axes=tuple(axis % self.ndim for axis in order))

    def detach(self) -> Tensor:
        """Record a copy of the value through which no gradient passes; the trace knows the cut."""
        return self.tape.apply(ops.DETACH, self)

    def _lift(self, other: Operand) -> Tensor:
        if isinstance(other, Tensor):
            return other
        # A Python number takes the tensor's dtype, so that float32 stays float32.
        array = np.asarray(other, dtype=self.dtype if isinstance(other, int | float) else None)
        return self.tape.constant(array)

    def _axes(self, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
        # Counted from the end, so that the rule also holds with leading axes on the cotangent.
        chosen = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        for one in chosen:
            if not -self.ndim <= one < self.ndim:
                raise InputError(f"axis {one} is outside a tensor of shape {self.shape}.")
        return tuple(one - self.ndim if one >= 0 else one for one in chosen)


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Record the tensors joined along an existing axis."""
    first = _first(tensors, "concatenate")
    return first.tape.apply(ops.CONCATENATE, *tensors, axis=axis - first.ndim if axis >= 0 else axis)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Record the tensors joined along a new axis."""
    first = _first(tensors, "stack")
    return first.tape.apply(ops.STACK, *tensors, axis=axis - first.ndim - 1 if axis >= 0 else axis)


def where(mask: Array, chosen: Tensor, other: Tensor) -> Tensor:
    """Record `chosen` where the boolean `mask` is true and `other` elsewhere."""
    return chosen.tape.apply(ops.WHERE, chosen, other, mask=np.asarray(mask, dtype=bool))


def _first(tensors: Sequence[Tensor], name: str) -> Tensor:
    if not tensors:
        raise InputError(f"{name} got no tensors; pass at least one.")
    return tensors[0]
