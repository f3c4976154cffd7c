"""The weights of a recurrent stack in our layout, wherever they come from.

In: arrays by the names of a cell. Out: a `Stack`, which `walk` unrolls on a tape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS, Cell

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
