"""The table of primitive operations: name, label, forward and vjp side by side.

Axes are counted from the end and shapes are rebuilt from the cotangent's leading axes, so that every
rule also holds when many cotangents are walked at once. Broadcasting is undone in the sweep, not here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution, Outer, Scatter, Slice, StateSlice
from rnngraph.autodiff.node import Node, Op
from rnngraph.errors import InputError


def sigmoid(x: Array) -> Array:
    """Compute `1 / (1 + exp(-x))` without overflow, and without loss of digits at either end."""
    small = np.exp(-np.abs(x))
    scale = 1 / (1 + small)
    return np.where(x >= 0, scale, small * scale)


def lead_of(g: Array, node: Node) -> tuple[int, ...]:
    """Give the extra leading axes of a cotangent."""
    return g.shape[: g.ndim - node.value.ndim]


def _matmul(a: Array, b: Array) -> Array:
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        product: Array = np.dot(a, b)  # quicker than matmul where they are small
        return product
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise InputError(f"matmul of shapes {a.shape} and {b.shape}: (..., n, k) @ (..., k, m) is needed.")
    return a @ b


def _matmul_vjp(g: Array, node: Node) -> tuple[Contribution, Contribution]:
    a, b = node.arguments
    if b.ndim == 2 and a.ndim == 2:
        # A weight on the left, `W @ h`, is kept in factors as one on the right is.
        tall = a.size > b.size + node.value.size
        return Outer(g.swapaxes(-1, -2), b.T) if tall else g @ b.T, Outer(a, g)
    to_a = g @ b.swapaxes(-1, -2)
    if b.ndim == 2 and a.ndim == 3:  # (batch, time, ·): the time axis goes first and stays apart
        return to_a, Outer(a.swapaxes(0, 1), g.swapaxes(-3, -2))
    return to_a, a.swapaxes(-1, -2) @ g


def _power_vjp(g: Array, node: Node) -> tuple[Array]:
    exponent = node.options["exponent"]
    return (g * exponent * node.arguments[0] ** (exponent - 1) if exponent else np.zeros_like(g),)


def _sum_vjp(g: Array, node: Node) -> tuple[Array]:
    (x,) = node.arguments
    expanded = g if node.options["keepdims"] else np.expand_dims(g, node.options["axis"])
    return (np.broadcast_to(expanded, lead_of(g, node) + x.shape),)


def _mean_vjp(g: Array, node: Node) -> tuple[Array]:
    count = node.arguments[0].size // max(node.value.size, 1)
    return (_sum_vjp(g, node)[0] / count,)


def _transpose_vjp(g: Array, node: Node) -> tuple[Array]:
    axes = node.options["axes"]
    lead = g.ndim - len(axes)
    return (g.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(axes))),)


def is_basic(index: tuple[Any, ...]) -> bool:
    """Tell an index of integers, slices, `...` and None."""
    return all(part is None or part is Ellipsis or isinstance(part, int | slice | np.integer) for part in index)


def _index(x: Array, *, index: tuple[Any, ...]) -> Array:
    try:
        return np.asarray(x[index])
    except IndexError as error:
        raise InputError(f"index {index} does not fit an array of shape {x.shape}: {error}.") from None


def _index_vjp(g: Array, node: Node) -> tuple[Contribution]:
    index = node.options["index"]
    return (Slice(index, g) if is_basic(index) else Scatter(index, g),)


def _concatenate_vjp(g: Array, node: Node) -> tuple[Array, ...]:
    axis = node.options["axis"]
    ends = np.cumsum([argument.shape[axis] for argument in node.arguments])[:-1]
    return tuple(np.split(g, ends, axis=axis))


def _stack_vjp(g: Array, node: Node) -> tuple[Array, ...]:
    return tuple(np.moveaxis(g, node.options["axis"], 0))


def _joined(join: Any, arrays: tuple[Array, ...], axis: int) -> Array:
    try:
        return np.asarray(join(arrays, axis=axis))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays[:4])
        raise InputError(f"shapes {shapes} cannot be joined along axis {axis}; the other axes must agree.") from None


def _reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    try:
        return x.reshape(shape)
    except (ValueError, TypeError):
        raise InputError(f"an array of shape {x.shape} cannot be reshaped to {shape}.") from None


def _where(a: Array, b: Array, *, mask: Array) -> Array:
    try:
        return np.asarray(np.where(mask, a, b))
    except ValueError:
        raise InputError(
            f"where of a mask of shape {mask.shape} and shapes {a.shape} and {b.shape}, which do not broadcast."
        ) from None


def binary(name: str, rule: Any) -> Any:
    """Give the forward of an op on two arrays, which says so where their shapes do not broadcast."""

    def forward(a: Array, b: Array) -> Array:
        try:
            return np.asarray(rule(a, b))
        except ValueError:
            raise InputError(f"{name} of shapes {a.shape} and {b.shape}, which do not broadcast.") from None

    return forward


def _stepwise_unary(name: str, label: str, forward: Any, vjp: Any, formula: str) -> Op:
    return Op(name, label, forward, vjp, formula, stepwise="all")


ADD = Op("add", "+", binary("add", np.add), lambda g, node: (g, g), "y = a + b", stepwise="all")
SUBTRACT = Op("subtract", "-", binary("subtract", np.subtract), lambda g, node: (g, -g), "y = a - b", stepwise="all")
MULTIPLY = Op(
    "multiply",
    "*",
    binary("multiply", np.multiply),
    lambda g, node: (g * node.arguments[1], g * node.arguments[0]),
    "y = a · b, element by element",
    stepwise="all",
)
DIVIDE = Op(
    "divide",
    "/",
    binary("divide", np.divide),
    lambda g, node: (g / node.arguments[1], -g * node.value / node.arguments[1]),
    "y = a / b",
    stepwise="all",
)
NEGATE = Op("negate", "neg", np.negative, lambda g, node: (-g,), "y = -a", "move", "all")
POWER = _stepwise_unary("power", "pow", lambda x, *, exponent: x**exponent, _power_vjp, "y = a^p")
MATMUL = Op("matmul", "@", _matmul, _matmul_vjp, "y = a · b, a matrix product")
TANH = _stepwise_unary(
    "tanh", "tanh", np.tanh, lambda g, node: (g * (1 - node.value**2),), "y = tanh(a),  dy/da = 1 - y²"
)
SIGMOID = _stepwise_unary(
    "sigmoid", "σ", sigmoid, lambda g, node: (g * (node.value * (1 - node.value)),),
    "y = 1 / (1 + e^-a),  dy/da = y(1 - y)",
)  # fmt: skip
RELU = _stepwise_unary(
    "relu", "relu", lambda x: np.maximum(x, 0), lambda g, node: (g * (node.arguments[0] > 0),), "y = max(0, a)"
)
EXP = _stepwise_unary("exp", "exp", np.exp, lambda g, node: (g * node.value,), "y = e^a")
LOG = _stepwise_unary("log", "log", np.log, lambda g, node: (g / node.arguments[0],), "y = ln a")
SUM = Op(
    "sum", "Σ", lambda x, *, axis, keepdims: np.asarray(np.sum(x, axis=axis, keepdims=keepdims)), _sum_vjp,
    "y = Σ a", "move",
)  # fmt: skip
MEAN = Op(
    "mean", "mean", lambda x, *, axis, keepdims: np.asarray(np.mean(x, axis=axis, keepdims=keepdims)), _mean_vjp,
    "y = the mean of a", "move",
)  # fmt: skip
RESHAPE = Op(
    "reshape", "reshape", _reshape, lambda g, node: (g.reshape(lead_of(g, node) + node.arguments[0].shape),),
    "the same numbers in another shape", "move",
)  # fmt: skip
TRANSPOSE = Op(
    "transpose", "transpose", lambda x, *, axes: x.transpose(axes), _transpose_vjp,
    "the same numbers with other axes", "move",
)  # fmt: skip
INDEX = Op("index", "[ ]", _index, _index_vjp, "a part of a", "move")
CONCATENATE = Op(
    "concatenate", "concat", lambda *xs, axis: _joined(np.concatenate, xs, axis), _concatenate_vjp,
    "inputs joined along an axis", stepwise="all",
)  # fmt: skip
STACK = Op(
    "stack", "stack", lambda *xs, axis: _joined(np.stack, xs, axis), _stack_vjp,
    "inputs joined along a new axis", "move",
)  # fmt: skip
WHERE = Op(
    "where",
    "where",
    _where,
    lambda g, node: (np.where(node.options["mask"], g, 0), np.where(node.options["mask"], 0, g)),
    "y = a where the condition holds, else b",
)
STATE = Op(  # of a block, such as the last cell state
    "state", "state", lambda output, *, kind, t: output,
    lambda g, node: (StateSlice(node.options["kind"], node.options["t"], g),), "one state of a layer", "move",
)  # fmt: skip
DETACH = Op("detach", "detach", lambda x: x, lambda g, node: (None,), "y = a; no gradient passes", "cut")
