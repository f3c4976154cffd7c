"""Unroll a stack of foreign weights on our tape: what every source does once it has weights and an input.

In: a `Stack` and a recorded input. Out: the recorded output and the nodes of the first and last states.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor, concatenate
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS, PROJECT
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.recurrent import suffix
from rnngraph.nn.unroll import Unrolled, start, unroll
from rnngraph.sources.cell_forms import step_rule
from rnngraph.sources.stack import GATE_COUNT, LayerWeights, Stack


@dataclass(slots=True)
class Walk:
    """What was recorded; node ids stand in PyTorch's order, layer by layer and forward before reverse."""

    output: Tensor
    initial: dict[str, list[int]] = field(default_factory=lambda: {"h": [], "c": []})
    final: dict[str, list[int]] = field(default_factory=lambda: {"h": [], "c": []})
    recurrences: list[Recurrence] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """What is known of the run beside weights and input."""

    h0: Array | None = None  # (layers * directions, N, out)
    c0: Array | None = None  # (layers * directions, N, hidden)
    mask: Array | None = None  # (N, T) False where the state is copied
    cuts: Collection[int] = ()  # positions before which no gradient passes the recurrence
    dropout: Sequence[Array] = ()  # what each layer's output but the last's is multiplied with, (N, T, ·)


def walk(stack: Stack, x: Tensor, options: WalkOptions | None = None) -> Walk:
    """Record every layer and direction of the stack on the tape of `x`, (N, T, in).

    Raises:
        InputError: an input or an initial state of another shape than the weights need.
    """
    options = options or WalkOptions()
    if x.ndim != 3 or x.shape[-1] != stack.input_size:
        raise InputError(f"{stack.name} got an input of shape {x.shape}; its weights take (N, T, {stack.input_size}).")
    mask = None if options.mask is None or options.mask.all() else options.mask
    result = Walk(x)
    if mask is not None:
        x.tape.keep = mask
    with np.errstate(all="ignore"):  # what overflows is reported by the trace, with its place
        for number, layer in enumerate(stack.layers):
            outputs = []
            for weights, direction in zip(layer, stack.directions, strict=True):
                run = _prepare(stack, weights, result, (number, direction), options, masked=mask is not None)
                outputs.append(_unroll(stack, weights, run, result, mask, options))
            result.output = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
            if number < len(options.dropout):
                result.output = result.output * options.dropout[number]
    return result


def _prepare(
    stack: Stack,
    weights: LayerWeights,
    result: Walk,
    place: tuple[int, str],
    options: WalkOptions,
    *,
    masked: bool,
) -> Unrolled:
    layer, direction = place
    x, tape, ending = result.output, result.output.tape, suffix(layer, direction)
    index, count = len(result.initial["h"]), len(stack.layers) * len(stack.directions)
    columns, cell = weights.wx.shape[1], CELLS[stack.cell]
    wx = _parameter(tape, f"{stack.name}.Wx{ending}", weights.wx, (0, 0))
    b = _parameter(tape, f"{stack.name}.b{ending}", weights.b, (columns,), dtype=x.dtype)
    wh = _parameter(tape, f"{stack.name}.Wh{ending}", weights.wh, (0, 0))
    more = []
    if stack.cell == "gru" and not stack.reset_before:
        more.append(_parameter(tape, f"{stack.name}.bh{ending}", weights.bh, (columns,), dtype=x.dtype))
    if weights.wr is not None:
        more.append(_parameter(tape, f"{stack.name}.Wr{ending}", weights.wr, (0, 0)))
    recurrence = Recurrence(stack.name, stack.cell, layer, direction, copies=masked)
    batch, units = x.shape[0], columns // GATE_COUNT[stack.cell]
    h = _initial(tape, options.h0, index, (count, batch, weights.out), x.dtype, "h0")
    c = _initial(tape, options.c0, index, (count, batch, units), x.dtype, "c0") if stack.cell == "lstm" else h
    with tape.scope(layer=f"{stack.name}.{layer}", direction=direction):
        projection = tape.apply(PROJECT, x, wx, b)
    run = start(recurrence, cell, projection=projection, weights=(wh, *more), h=h, c=c)
    for kind, node_id in recurrence.initial.items():
        result.initial[kind].append(node_id)
    return run


def _unroll(
    stack: Stack, weights: LayerWeights, run: Unrolled, result: Walk, mask: Array | None, options: WalkOptions
) -> Tensor:
    recurrence = run.recurrence
    step = step_rule(projected=weights.wr is not None, reset_before=stack.reset_before)
    with run.tape.scope(layer=f"{stack.name}.{recurrence.layer}", direction=recurrence.direction):
        output = unroll(run, truncate=None, detail="step", mask=mask, cuts=options.cuts, step=step)
    run.tape.recurrences.append(recurrence)
    result.recurrences.append(recurrence)
    last = -1 if recurrence.direction == "forward" else 0
    for kind, ids in recurrence.states.items():
        result.final[kind].append(ids[last])
    return output


def _parameter(
    tape: Tape,
    name: str,
    value: Array | None,
    zeros: tuple[int, ...],
    *,
    dtype: np.dtype[np.float64] | None = None,
) -> Tensor:
    if value is None:  # a layer without bias: the arithmetic adds zero, and no gradient is reported for it
        return tape.constant(np.zeros(zeros, dtype))
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
