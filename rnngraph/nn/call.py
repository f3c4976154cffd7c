"""One call of the functional interface: arrays are checked and recorded on a tape, and the tape is walked back.

In: a student's arrays. Out: a tape whose `outputs` are what the call returns, and, of a walk back, arrays by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import DtypeError, InputError
from rnngraph.nn.cells import Cell
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.recurrent import initial_state
from rnngraph.nn.unroll import Layer, Unrolled, unroll


def floats(function: str, arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Take a call's arrays in the dtype that NumPy would compute them in; float32 stays float32.

    Raises:
        InputError: an array is empty or not finite.
        DtypeError: an array holds no real numbers.
    """
    values = {name: checked(function, name, array) for name, array in arrays.items()}
    dtype = np.result_type(*values.values())
    if dtype.kind != "f":
        dtype = np.dtype(np.float64)
    return {name: value.astype(dtype, copy=False) for name, value in values.items()}


def checked(function: str, name: str, array: Any) -> Array:
    """Take one array of a call, of whatever dtype."""
    if isinstance(array, Tensor):
        raise InputError(
            f"{function}: {name} is a Tensor; pass its array, {name}.value, or use the layers of rnngraph.nn."
        )
    return checked_array(array, f"{function}: {name}")


def record_recurrence(function: str, cell: Cell, arrays: Mapping[str, Any]) -> Unrolled:
    """Record a recurrent call, `x h0 [c0] Wx Wh b`, on a tape of its own; a step's x (N, D) is a sequence of one.

    Raises:
        InputError: shapes that do not agree, an empty or a non-finite array.
        DtypeError: an array holds no real numbers.
    """
    values = floats(function, arrays)
    _check_shapes(function, values, cell.blocks)
    tape = Tape(model=function)
    x = tape.input(values["x"], "x")
    kinds = cell.facts.kinds
    states = {kind: tape.input(values[kind + "0"], kind + "0") for kind in kinds if kind + "0" in values}
    weights = {name: tape.parameter(Parameter(name, values[name])) for name in ("Wx", "Wh", "b")}
    if x.ndim == 2:
        x = x.reshape(x.shape[0], 1, x.shape[1])
    for kind in kinds:
        if kind not in states:
            states[kind] = initial_state(tape, states["h"].shape, x.dtype)
    return unroll(Layer(function.partition("_")[0], cell, weights, states), x)


def _check_shapes(function: str, values: dict[str, Array], gates: int) -> None:
    x, h0 = values["x"], values["h0"]
    axes = 2 if "_step_" in function else 3
    if x.ndim != axes:
        wanted = "(N, D)" if axes == 2 else "(N, T, D)"
        raise InputError(f"{function}: x has shape {x.shape}; it takes {wanted}.")
    if h0.ndim != 2 or len(h0) != len(x):
        raise InputError(f"{function}: the initial h has shape {h0.shape}; x of shape {x.shape} needs ({len(x)}, H).")
    hidden = h0.shape[1]
    wide = gates * hidden
    needed = {"c0": h0.shape, "Wx": (x.shape[-1], wide), "Wh": (hidden, wide), "b": (wide,)}
    for name, shape in needed.items():
        if name in values and values[name].shape != shape:
            label = "the initial c" if name == "c0" else name
            raise InputError(
                f"{function}: {label} has shape {values[name].shape}; x of shape {x.shape} and h of shape {h0.shape} "
                f"need {shape}."
            )


def walk_back(function: str, cache: Tape, upstream: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Array, ...]:
    """Walk a call's tape in reverse from the upstream gradients of its outputs, in their order.

    A gradient that holds NaN or infinity is walked like any other: `record(cache)` says where it spreads.

    Returns:
        the gradients of the named leaves, arrays of the caller's own.

    Raises:
        InputError: the cache is that of another function, or a gradient has another shape than its output.
        DtypeError: a gradient holds no real numbers.
    """
    forward = function.replace("backward", "forward")
    if not isinstance(cache, Tape):
        raise InputError(f"{function} got a {type(cache).__name__} as the cache; pass the second result of {forward}.")
    if cache.model != forward:
        made = f"by {cache.model}" if cache.model else "elsewhere"
        raise InputError(f"{function} got a cache that was made {made}; it takes the one that {forward} returned.")
    starts = {}
    for (name, gradient), output in zip(upstream.items(), cache.outputs, strict=True):
        starts[output.id] = _upstream(function, name, gradient, output)
    return leaf_gradients(cache, starts, names)


def leaf_gradients(tape: Tape, starts: dict[int, Array], names: tuple[str, ...]) -> tuple[Array, ...]:
    """Walk a tape back from `starts`, note them on it, and give the gradients of the named leaves."""
    tape.starts = starts
    found: dict[str, Array] = {}
    with np.errstate(all="ignore"):  # what overflows is reported by the trace, with its place
        for step in sweep(tape, starts):
            if step.node.name in names:
                found[step.node.name] = np.array(step.gradient, order="C")
    return tuple(found[name] for name in names)


def _upstream(function: str, name: str, gradient: Any, output: Tensor) -> Array:
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"{function}: {name} has dtype {array.dtype}; pass floating point numbers.")
    if array.shape != output.shape:
        raise InputError(f"{function}: {name} has shape {array.shape}; the forward returned {output.shape}.")
    with np.errstate(all="ignore"):
        return np.array(array, dtype=output.dtype)
