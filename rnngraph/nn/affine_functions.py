"""The affine layers of the functional interface: of every timestep, and of one vector a sample. See `nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.nn.affine import LINEAR
from rnngraph.nn.call import floats, walk_back
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.watching import watched


@watched
def temporal_affine_forward(x: Any, w: Any, b: Any) -> tuple[Array, Tape]:
    """Map every timestep by `x w + b`.

    Args:
        x: (N, T, D).
        w: (D, M).
        b: (M,).

    Returns:
        out (N, T, M), cache.
    """
    values = floats("temporal_affine_forward", {"x": x, "w": w, "b": b})
    if values["x"].ndim != 3:
        raise InputError(f"temporal_affine_forward: x has shape {values['x'].shape}; it takes (N, T, D).")
    return _affine("temporal_affine_forward", values)


def temporal_affine_backward(dout: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk the map back from dout (N, T, M); returns dx, dw, db."""
    return walk_back("temporal_affine_backward", cache, {"dout": dout}, ("x", "w", "b"))


@watched
def affine_forward(x: Any, w: Any, b: Any) -> tuple[Array, Tape]:
    """Map every sample by `x w + b`; the axes of a sample are read as one.

    Args:
        x: (N, ...), D numbers a sample.
        w: (D, M).
        b: (M,).

    Returns:
        out (N, M), cache.
    """
    values = floats("affine_forward", {"x": x, "w": w, "b": b})
    if values["x"].ndim < 2:
        raise InputError(f"affine_forward: x has shape {values['x'].shape}; it takes (N, ...).")
    return _affine("affine_forward", values)


def affine_backward(dout: Any, cache: Tape) -> tuple[Array, ...]:
    """Walk the map back from dout (N, M); returns dx of the shape of x, dw, db."""
    return walk_back("affine_backward", cache, {"dout": dout}, ("x", "w", "b"))


def _affine(function: str, values: dict[str, Array]) -> tuple[Array, Tape]:
    x, w, b = values["x"], values["w"], values["b"]
    inputs = x.shape[-1] if function.startswith("temporal") else int(np.prod(x.shape[1:]))
    if w.ndim != 2 or len(w) != inputs:
        raise InputError(f"{function}: w has shape {w.shape}; x of shape {x.shape} needs ({inputs}, M).")
    if b.shape != w.shape[1:]:
        raise InputError(f"{function}: b has shape {b.shape}; w of shape {w.shape} needs {w.shape[1:]}.")
    tape = Tape(model=function)
    x_in = tape.input(x, "x")
    weight, bias = (tape.parameter(Parameter(name, values[name])) for name in ("w", "b"))
    flat = x_in if function.startswith("temporal") or x.ndim == 2 else x_in.reshape(len(x), inputs)
    with tape.scope(layer="affine"):
        tape.outputs = (tape.apply(LINEAR, flat, weight, bias),)
    return tape.outputs[0].value.copy(order="C"), tape
