"""What NumPy's functions are to recording arrays: differentiated, passed through as values, or refused.

The tables are filled by the modules beside this one. In: a function of NumPy. Out: its rule, or one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnngraph.autodiff import elementwise, ops
from rnngraph.autodiff.node import Op
from rnngraph.errors import InputError

UFUNCS: dict[Any, Op] = {
    np.add: ops.ADD, np.subtract: ops.SUBTRACT, np.multiply: ops.MULTIPLY, np.divide: ops.DIVIDE,
    np.negative: ops.NEGATE, np.exp: ops.EXP, np.log: ops.LOG, np.tanh: ops.TANH, np.logaddexp: elementwise.LOGADDEXP,
}  # fmt: skip
UFUNCS[np.fabs] = elementwise.ABSOLUTE
SCIPY = {"expit": ops.SIGMOID}  # ufuncs of scipy.special, which are told by their names
UFUNCS |= {op.forward: op for op in elementwise.ELEMENTWISE if isinstance(op.forward, np.ufunc)}
RULES: dict[Any, Callable[..., Any]] = {}  # of functions, of ufuncs that are no single op, and of np.add.at and its kin
# Functions that take a list as many arrays; all others take it as one.
JOINS = (
    np.concatenate, np.stack, np.hstack, np.vstack, getattr(np, "row_stack", np.vstack), np.column_stack, np.dstack,
)  # fmt: skip

# What has no gradient: it works on values, and gives plain arrays.
VALUES: set[Any] = {
    getattr(np, name) for name in (
        "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isinf", "isfinite",
        "isneginf", "isposinf", "logical_and", "logical_or", "logical_not", "logical_xor", "sign", "signbit",
        "floor", "ceil", "rint", "trunc", "fix", "round", "floor_divide", "around", "argmax", "argmin",
        "nanargmax", "nanargmin", "argsort", "lexsort", "argpartition", "any", "all", "shape", "ndim", "size",
        "allclose", "isclose", "array_equal", "array_equiv", "count_nonzero", "nonzero", "argwhere",
        "flatnonzero", "searchsorted", "digitize", "histogram", "bincount", "unique", "array2string",
        "array_repr", "array_str", "result_type", "can_cast", "may_share_memory", "shares_memory",
        "iscomplexobj", "isrealobj", "iscomplex", "isreal", "save", "savez", "savez_compressed", "savetxt",
        "isin", "intersect1d", "spacing", "min_scalar_type",
        "common_type", "heaviside",
    )
}  # fmt: skip
INSTEAD = {
    "prod": "np.exp(np.sum(np.log(x)))", "cumprod": "np.exp(np.cumsum(np.log(x)))",
    "kron": "np.einsum", "convolve": "slices and sums",
    "hypot": "np.sqrt(x**2 + y**2)", "cbrt": "x ** (1 / 3)", "mod": "x - n * np.floor(x / n)", "interp": "np.where",
    "remainder": "x - n * np.floor(x / n)", "nansum": "np.where and np.sum",
    "nanmean": "np.where and np.mean", "apply_along_axis": "functions of whole arrays", "cross": "slices and products",
    "gradient": "np.diff", "copyto": "x[...] = y", "put": "x[i] = y", "put_along_axis": "x[i, j] = y",
    "place": "np.where", "putmask": "np.where", "select": "np.where", "choose": "np.where", "piecewise": "np.where",
    "item": "x itself, or x.value where no gradient is wanted", "tolist": "list(x)",
}  # fmt: skip


def rule(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule of these functions of NumPy into the table."""

    def enter(made: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            RULES[function] = made
        return made

    return enter


def rules(made: Callable[[Any], Callable[..., Any]], *functions: Any) -> None:
    """Enter what is made of each of these functions of NumPy as its rule."""
    for function in functions:
        RULES[function] = made(function)


def kind_of(function: Any) -> str:
    """Say what a function of NumPy is to a recording array: "differentiated", "values" or "refused"."""
    if function in VALUES:
        return "values"
    return "differentiated" if function in UFUNCS or function in RULES else "refused"


def refusal(name: str) -> InputError:
    """Say that a function is not differentiated, and what to use instead."""
    instead = INSTEAD.get(name, "functions that are (see the table in docs/numpy.md)")
    return InputError(
        f"np.{name} of a recorded array is not differentiated here; use {instead}, or x.value where no gradient is "
        "wanted."
    )


def lost(what: str) -> InputError:
    """Say that a gradient would be lost."""
    return InputError(
        f"{what} would take a recorded value out of the record and lose its gradient; compute with np.* on it, or use "
        "its .value where no gradient is wanted."
    )
