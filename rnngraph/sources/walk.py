"""Unroll a stack of foreign weights on our tape: what every source does once it has weights and an input.

In: a `Stack` and a recorded input. Out: the recorded output and the recurrences of its layers and directions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.recurrence import suffix
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor, concatenate
from rnngraph.errors import InputError
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Layer, Unrolled, unroll
from rnngraph.sources.stack import LayerWeights, Stack


@dataclass(slots=True)
class Walk:
    """What was recorded; layers stand in PyTorch's order, layer by layer and forward before reverse."""

    output: Tensor
    layers: list[Unrolled] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """What is known of the run beside weights and input."""

    h0: Array | None = None  # (layers * directions, N, out)
    c0: Array | None = None  # (layers * directions, N, hidden)
    mask: Array | None = None  # (N, T) False where the state is copied
    cuts: Sequence[int] = ()  # positions before which no gradient passes the recurrence
    dropout: Sequence[Array] = ()  # what each layer's output but the last's is multiplied with, (N, T, ·)
    makes: Iterator[Callable[..., Block]] = field(default_factory=lambda: itertools.repeat(Block))  # blocks, in order


def walk(stack: Stack, x: Tensor, options: WalkOptions | None = None) -> Walk:
    """Record every layer and direction of the stack on the tape of `x`, (N, T, in).

    Raises:
        InputError: an input or an initial state of another shape than the weights need.
    """
    options = options or WalkOptions()
    if x.ndim != 3 or x.shape[-1] != stack.input_size:
        raise InputError(f"{stack.name} got an input of shape {x.shape}; its weights take (N, T, {stack.input_size}).")
    result = Walk(x)
    for number, layer in enumerate(stack.layers):
        outputs = []
        for weights, direction in zip(layer, stack.directions, strict=True):
            one = _layer(stack, weights, result, (number, direction), options)
            result.layers.append(unroll(one, result.output))
            outputs.append(result.layers[-1].output)
        result.output = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
        if number < len(options.dropout):
            result.output = result.output * options.dropout[number]
    return result


def _layer(stack: Stack, weights: LayerWeights, result: Walk, place: tuple[int, str], options: WalkOptions) -> Layer:
    x, tape, cell = result.output, result.output.tape, stack.kind
    index, count = len(result.layers), len(stack.layers) * len(stack.directions)
    arrays, ending = weights.named(), suffix(*place)
    columns = weights.wx.shape[1]
    tensors = {
        name: _parameter(tape, f"{stack.name}.{name}{ending}", arrays[name], np.zeros(columns, x.dtype))
        for name in cell.names
    }
    widths = cell.widths({name: one.value for name, one in tensors.items()})
    given = {"h": options.h0, "c": options.c0}
    initial = {
        kind: _initial(tape, given.get(kind), index, (count, x.shape[0], width), x.dtype, kind + "0")
        for kind, width in widths.items()
    }
    mask = None if options.mask is None or options.mask.all() else options.mask
    make = next(options.makes)
    return Layer(stack.name, cell, tensors, initial, *place, mask, options.cuts, make=make)


def _parameter(tape: Tape, name: str, value: Array | None, nothing: Array) -> Tensor:
    if value is None:  # a layer without bias: the arithmetic adds zero, and no gradient is reported for it
        return tape.constant(nothing)
    return tape.parameter(Parameter(name, value))


def _initial(
    tape: Tape,
    state: Array | None,
    index: int,
    shape: tuple[int, int, int],
    dtype: np.dtype[np.float64],
    label: str,
) -> Tensor:
    if state is not None and state.shape != shape:
        raise InputError(f"{label} has shape {state.shape}; the weights need {shape} (layers * directions, N, units).")
    value = np.zeros(shape[1:], dtype) if state is None else np.ascontiguousarray(state[index], dtype)
    # Differentiated although it is constant: what reaches it is the gradient before the first step.
    return tape.tensor(tape.append(CONSTANT, (), value, requires=True))
