"""Unroll a stack of foreign weights on our tape: what every source does once it has weights and an input.

In: a `Stack` and a recorded input. Out: the recorded output; the tape knows the recurrences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.recurrence import suffix
from rnngraph.autodiff.tensor import Tensor, concatenate
from rnngraph.errors import InputError
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Layer, unroll
from rnngraph.sources.stack import Stack, Weights


def walk(
    stack: Stack, x: Tensor, *, h0: Array | None = None, c0: Array | None = None, mask: Array | None = None
) -> Tensor:
    """Record every layer and direction of the stack on the tape of `x`.

    Args:
        stack: the weights.
        x: (N, T, in).
        h0: the initial hidden states, (layers * directions, N, out); zero by default.
        c0: the initial cell states, (layers * directions, N, hidden), likewise.
        mask: (N, T) False where the state is copied.

    Returns:
        the output of the last layer, both directions together.

    Raises:
        InputError: an input or an initial state of another shape than the weights need.
    """
    if x.ndim != 3 or x.shape[-1] != stack.input_size:
        raise InputError(f"{stack.name} got an input of shape {x.shape}; its weights take (N, T, {stack.input_size}).")
    given, index, count = {"h": h0, "c": c0}, 0, len(stack.layers) * len(stack.directions)
    mask = None if mask is None or mask.all() else mask
    for number, layer in enumerate(stack.layers):
        outputs = []
        for weights, direction in zip(layer, stack.directions, strict=True):
            tensors = _parameters(stack, weights, x, suffix(number, direction))
            initial = _initial(stack, tensors, x, given, (index, count))
            one = Layer(stack.name, stack.kind, tensors, initial, number, direction, mask)
            outputs.append(unroll(one, x).output)
            index += 1
        x = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
    return x


def _parameters(stack: Stack, weights: Weights, x: Tensor, ending: str) -> dict[str, Tensor]:
    # A layer without bias: the arithmetic adds zero, and no gradient is reported for it.
    nothing = np.zeros(weights["Wx"].shape[1], x.dtype)
    return {
        name: x.tape.parameter(Parameter(f"{stack.name}.{name}{ending}", weights[name]))
        if name in weights
        else x.tape.constant(nothing)
        for name in stack.kind.names
    }


def _initial(
    stack: Stack, weights: Mapping[str, Tensor], x: Tensor, given: Mapping[str, Array | None], place: tuple[int, int]
) -> dict[str, Tensor]:
    """Give the states before the first step, of the layer that stands at a place among so many."""
    found, (index, count) = {}, place
    for kind, width in stack.kind.widths({name: one.value for name, one in weights.items()}).items():
        state, shape = given.get(kind), (count, x.shape[0], width)
        if state is not None and state.shape != shape:
            raise InputError(
                f"{kind}0 has shape {state.shape}; the weights need {shape} (layers * directions, N, units)."
            )
        value = np.zeros(shape[1:], x.dtype) if state is None else np.ascontiguousarray(state[index], x.dtype)
        # Differentiated although it is constant: what reaches it is the gradient before the first step.
        found[kind] = x.tape.tensor(x.tape.append(CONSTANT, (), value, requires=True))
    return found
