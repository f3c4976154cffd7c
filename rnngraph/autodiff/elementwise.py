"""More primitive operations, element by element: NumPy's ufuncs that have a gradient, forward and vjp side by side.

Every row acts step by step, and broadcasting is undone in the sweep. See `ops` for the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.ops import binary

LN2, LN10 = float(np.log(2)), float(np.log(10))


def _unary(ufunc: np.ufunc, slope: Callable[[Array, Array], Any], formula: str) -> Op:
    """Make a row of a ufunc and of its slope at (argument, value)."""

    def vjp(g: Array, node: Node) -> tuple[Array]:
        return (g * slope(node.arguments[0], node.value),)

    name = ufunc.__name__
    return Op(name, name, ufunc, vjp, formula, stepwise="all")


SQRT = _unary(np.sqrt, lambda x, y: 0.5 / y, "y = √a")
SQUARE = _unary(np.square, lambda x, y: 2 * x, "y = a²")
ABSOLUTE = _unary(np.absolute, lambda x, y: np.sign(x), "y = |a|;  0 at a = 0")
RECIPROCAL = _unary(np.reciprocal, lambda x, y: -(y * y), "y = 1 / a")
LOG1P = _unary(np.log1p, lambda x, y: 1 / (1 + x), "y = ln(1 + a)")
EXPM1 = _unary(np.expm1, lambda x, y: y + 1, "y = e^a - 1")
LOG2 = _unary(np.log2, lambda x, y: 1 / (x * LN2), "y = log₂ a")
LOG10 = _unary(np.log10, lambda x, y: 1 / (x * LN10), "y = log₁₀ a")
EXP2 = _unary(np.exp2, lambda x, y: y * LN2, "y = 2^a")
SIN = _unary(np.sin, lambda x, y: np.cos(x), "y = sin a")
COS = _unary(np.cos, lambda x, y: -np.sin(x), "y = cos a")
TAN = _unary(np.tan, lambda x, y: 1 + y * y, "y = tan a")
SINH = _unary(np.sinh, lambda x, y: np.cosh(x), "y = sinh a")
COSH = _unary(np.cosh, lambda x, y: np.sinh(x), "y = cosh a")
ARCTAN = _unary(np.arctan, lambda x, y: 1 / (1 + x * x), "y = arctan a")
ARCSINH = _unary(np.arcsinh, lambda x, y: 1 / np.sqrt(1 + x * x), "y = arsinh a")
ARCTANH = _unary(np.arctanh, lambda x, y: 1 / (1 - x * x), "y = artanh a")


def _choosing(ufunc: np.ufunc, better: Callable[[Array, Array], Array], formula: str) -> Op:
    """Make a row of maximum or minimum; `share` is the first argument's part of the gradient where both are equal."""
    name = ufunc.__name__
    chosen = binary(name, ufunc)

    def vjp(g: Array, node: Node) -> tuple[Array, Array]:
        a, b = node.arguments
        share = node.options["share"]
        first = np.where(a == b, share, better(a, b)).astype(g.dtype)
        return g * first, g * (1 - first)

    return Op(name, name, lambda a, b, *, share: np.asarray(chosen(a, b)), vjp, formula, stepwise="all")


MAXIMUM = _choosing(np.maximum, np.greater, "y = the larger of a and b")
MINIMUM = _choosing(np.minimum, np.less, "y = the smaller of a and b")


def _logaddexp_vjp(g: Array, node: Node) -> tuple[Array, Array]:
    a, b = node.arguments
    return g * np.exp(a - node.value), g * np.exp(b - node.value)


def _raise_vjp(g: Array, node: Node) -> tuple[Array, Array]:
    base, exponent = node.arguments
    # Where the base is not positive, the value has no slope along the exponent.
    logarithm = np.log(np.where(base > 0, base, 1))
    return g * exponent * base ** (exponent - 1), g * node.value * logarithm


LOGADDEXP = Op(
    "logaddexp", "logaddexp", binary("logaddexp", np.logaddexp), _logaddexp_vjp, "y = ln(e^a + e^b)", stepwise="all"
)
RAISE = Op("raise", "pow", binary("power", np.power), _raise_vjp, "y = a^b, element by element", stepwise="all")

ELEMENTWISE = (
    SQRT, SQUARE, ABSOLUTE, RECIPROCAL, LOG1P, EXPM1, LOG2, LOG10, EXP2, SIN, COS, TAN, SINH, COSH, ARCTAN, ARCSINH,
    ARCTANH, MAXIMUM, MINIMUM, LOGADDEXP, RAISE,
)  # fmt: skip
