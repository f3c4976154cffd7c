"""The weights of a recurrent stack in our layout, wherever they come from, and their steps on a tape.

In: arrays by the names of a cell, and a recorded input. Out: the recorded output; the tape knows the recurrences.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT
from rnngraph.autodiff.recurrence import suffix
from rnngraph.autodiff.tensor import Tensor, concatenate
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS, Cell
from rnngraph.nn.parameter import Parameter
from rnngraph.nn.unroll import Layer, unroll

# Of one layer and direction: Wx (in, gates * hidden), Wh (out, gates * hidden), and where there are such b, bh
# (gates * hidden,) and Wr (hidden, out), which projects the hidden state; without it `out` is the hidden size.
Weights: TypeAlias = dict[str, Array]

_LABELS = {
    "Wx": "input weight", "Wh": "recurrent weight", "b": "bias", "bh": "hidden bias", "Wr": "projection",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers × directions of one cell."""

    name: str
    cell: str  # a key of `nn.cells.CELLS`
    layers: tuple[tuple[Weights, ...], ...]  # one entry a layer, one weight set a direction
    directions: tuple[str, ...] = ("forward",)

    @property
    def kind(self) -> Cell:
        """The cell itself."""
        return CELLS[self.cell]

    @property
    def input_size(self) -> int:
        """The width of the input."""
        return len(self.layers[0][0]["Wx"])

    @property
    def hidden_size(self) -> int:
        """The number of units of a direction, before a projection."""
        return int(self.layers[0][0]["Wx"].shape[1]) // self.kind.blocks

    @property
    def output_size(self) -> int:
        """The width of what the last layer returns, both directions together."""
        return sum(len(weights["Wh"]) for weights in self.layers[-1])

    def describe(self) -> str:
        """Name what it is, such as `2-layer bidirectional lstm, 8 -> 64 units`."""
        first = self.layers[0][0]
        layers = f"{len(self.layers)}-layer " if len(self.layers) > 1 else ""
        both = "bidirectional " if len(self.directions) > 1 else "reverse " if self.directions[0] == "reverse" else ""
        projection = f", projected to {len(first['Wh'])}" if "Wr" in first else ""
        form = self.kind.facts.title.partition(", ")[2]
        cell = (self.kind.form_of or self.cell) + (f" ({form})" if form else "")
        return f"{layers}{both}{cell}, {self.input_size} -> {self.hidden_size} units{projection}"


def reordered(blocks: Array, source: str, target: str) -> Array:
    """Put the gate blocks of the last axis, which stand in the order `source`, into the order `target`."""
    parts = np.split(blocks, len(source), axis=-1)
    return np.concatenate([parts[source.index(gate)] for gate in target], axis=-1)


def check_stack(stack: Stack) -> None:
    """Hold the weights of a stack to one another.

    Raises:
        InputError: two shapes that do not fit, with both in the message.
    """
    gates, width = stack.kind.blocks, stack.input_size
    for number, layer in enumerate(stack.layers):
        for weights, direction in zip(layer, stack.directions, strict=True):
            columns = weights["Wx"].shape[1]
            units = columns // gates
            out = weights["Wr"].shape[1] if "Wr" in weights else units
            shapes = {
                "Wx": (width, gates * units), "Wh": (out, columns), "b": (columns,), "bh": (columns,),
                "Wr": (units, out),
            }  # fmt: skip
            for name, array in weights.items():
                if array.shape != shapes[name]:
                    raise InputError(
                        f"the {_LABELS[name]} of {stack.name}, layer {number}, {direction} has shape {array.shape} "
                        f"(input size first), but {shapes[name]} is needed for a {stack.cell}: the weights do not fit "
                        "together."
                    )
        width = sum(len(weights["Wh"]) for weights in layer)


def walk(
    stack: Stack, x: Tensor, *, h0: Array | None = None, c0: Array | None = None, mask: Array | None = None,
    dropout: Sequence[Array] = (), makes: Iterable[Callable[..., Block]] = (),
) -> Tensor:  # fmt: skip
    """Record every layer and direction of the stack on the tape of `x`.

    Args:
        stack: the weights.
        x: (N, T, in).
        h0: the initial hidden states, (layers * directions, N, out); zero by default.
        c0: the initial cell states, (layers * directions, N, hidden), likewise.
        mask: (N, T) False where the state is copied.
        dropout: what the output of each layer but the last is multiplied with, (N, T, ·).
        makes: what makes the block of each layer and direction, in their order; plain blocks by default.

    Returns:
        the output of the last layer, both directions together.

    Raises:
        InputError: an input or an initial state of another shape than the weights need.
    """
    if x.ndim != 3 or x.shape[-1] != stack.input_size:
        raise InputError(f"{stack.name} got an input of shape {x.shape}; its weights take (N, T, {stack.input_size}).")
    given, index, count = {"h": h0, "c": c0}, 0, len(stack.layers) * len(stack.directions)
    mask, blocks = None if mask is None or mask.all() else mask, itertools.chain(makes, itertools.repeat(Block))
    for number, layer in enumerate(stack.layers):
        outputs = []
        for weights, direction in zip(layer, stack.directions, strict=True):
            tensors = _parameters(stack, weights, x, suffix(number, direction))
            initial = _initial(stack, tensors, x, given, (index, count))
            one = Layer(stack.name, stack.kind, tensors, initial, number, direction, mask, make=next(blocks))
            outputs.append(unroll(one, x).output)
            index += 1
        x = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=-1)
        x = x * dropout[number] if number < len(dropout) else x
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
