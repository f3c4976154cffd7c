"""The weights of a recurrent stack in our layout, wherever they come from, and the mapping from PyTorch's.

In: arrays by PyTorch's names (`weight_ih_l0`, ...). Out: a `Stack`, which `walk` unrolls on a tape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.nn.cells import CELLS, Cell, form


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer and direction; `out` is the hidden size, or what a projection makes of it."""

    wx: Array  # (in, gates * hidden)
    wh: Array  # (out, gates * hidden)
    b: Array | None = None  # (gates * hidden,)
    bh: Array | None = None  # (gates * hidden,), the bias of the hidden product, of a cell that has one
    wr: Array | None = None  # (hidden, out), the projection of the hidden state, of a cell that has one

    @property
    def out(self) -> int:
        """The width of the hidden state."""
        return int(self.wh.shape[0])

    def named(self) -> dict[str, Array | None]:
        """Give the weights by the names of a cell."""
        return {"Wx": self.wx, "b": self.b, "Wh": self.wh, "bh": self.bh, "Wr": self.wr}


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers × directions of one cell."""

    name: str
    cell: str  # a key of `nn.cells.CELLS`
    layers: tuple[tuple[LayerWeights, ...], ...]  # one entry a layer, one weight set a direction
    directions: tuple[str, ...] = ("forward",)

    @property
    def kind(self) -> Cell:
        """The cell itself."""
        return CELLS[self.cell]

    @property
    def input_size(self) -> int:
        """The width of the input."""
        return int(self.layers[0][0].wx.shape[0])

    @property
    def hidden_size(self) -> int:
        """The number of units of a direction, before a projection."""
        return int(self.layers[0][0].wx.shape[1]) // self.kind.blocks

    @property
    def output_size(self) -> int:
        """The width of what the last layer returns, both directions together."""
        return sum(weights.out for weights in self.layers[-1])

    def describe(self) -> str:
        """Name what it is, such as `2-layer bidirectional lstm, 8 -> 64 units`."""
        layers = f"{len(self.layers)}-layer " if len(self.layers) > 1 else ""
        both = "bidirectional " if len(self.directions) > 1 else "reverse " if self.directions[0] == "reverse" else ""
        projection = f", projected to {self.layers[0][0].out}" if self.layers[0][0].wr is not None else ""
        form = self.kind.facts.title.partition(", ")[2]
        cell = (self.kind.form_of or self.cell) + (f" ({form})" if form else "")
        return f"{layers}{both}{cell}, {self.input_size} -> {self.hidden_size} units{projection}"


def reordered(blocks: Array, source: str, target: str) -> Array:
    """Put the gate blocks of the last axis, which stand in the order `source`, into the order `target`."""
    parts = np.split(blocks, len(source), axis=-1)
    return np.concatenate([parts[source.index(gate)] for gate in target], axis=-1)


def torch_stack(name: str, cell: str, arrays: Mapping[str, Array]) -> Stack:
    """Build a stack from PyTorch's arrays: `(gates * H, in)`, an LSTM's gates i, f, g, o.

    Where a cell has one bias, PyTorch's two become their sum; a gradient of the sum equals either one's.

    Args:
        name: what the layer is called.
        cell: a key of `CELLS`.
        arrays: by PyTorch's names, with `_l{k}` and `_reverse`.

    Raises:
        InputError: a weight is missing, or two do not fit each other.
    """
    starts = [key for key in arrays if key.startswith(("weight_ih_l", "weight_hh_l"))]
    if not starts:
        raise InputError(f"{name} has no weight_ih_l0; found {', '.join(sorted(arrays))}.")
    count = 1 + max(int(key.split("_l")[1].split("_")[0]) for key in starts)
    both = any(key.endswith("_reverse") for key in arrays)
    endings = ("", "_reverse") if both else ("",)
    if any(key.startswith("weight_hr") for key in arrays):
        cell = form(cell, having="Wr")
    layers = tuple(
        tuple(torch_layer(name, CELLS[cell], arrays, f"_l{layer}{ending}") for ending in endings)
        for layer in range(count)
    )
    stack = Stack(name, cell, layers, directions=("forward", "reverse") if both else ("forward",))
    check_stack(stack)
    return stack


def torch_layer(name: str, cell: Cell, arrays: Mapping[str, Array], ending: str = "") -> LayerWeights:
    """Take the weights of one layer and direction whose names have this ending; see `torch_stack`."""

    def layout(key: str) -> Array | None:
        array = arrays.get(key + ending)
        if array is None:
            return None
        ours = array.T if array.ndim == 2 else array
        order = cell.gate_order.get("torch")
        return np.ascontiguousarray(ours) if order is None else reordered(ours, order, "".join(cell.facts.gates))

    wx, wh, b, bh = (layout(key) for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if wx is None or wh is None:
        missing = "weight_ih" if wx is None else "weight_hh"
        raise InputError(f"{name} has no {missing}{ending}; found {', '.join(sorted(arrays))}.")
    if "bh" not in cell.names and bh is not None:
        b, bh = (bh if b is None else b + bh), None
    projection = arrays.get("weight_hr" + ending)
    return LayerWeights(wx, wh, b, bh, None if projection is None else np.ascontiguousarray(projection.T))


def check_stack(stack: Stack) -> None:
    """Hold the weights of a stack to one another.

    Raises:
        InputError: two shapes that do not fit, with both in the message.
    """
    gates, width = stack.kind.blocks, stack.input_size
    for number, layer in enumerate(stack.layers):
        for weights, direction in zip(layer, stack.directions, strict=True):
            place = f"{stack.name}, layer {number}, {direction}"
            columns = weights.wx.shape[1]
            units = columns // gates
            out = units if weights.wr is None else weights.wr.shape[1]
            expected = [
                ("input weight", weights.wx, (width, gates * units)),
                ("recurrent weight", weights.wh, (out, columns)),
                ("bias", weights.b, (columns,)),
                ("hidden bias", weights.bh, (columns,)),
                ("projection", weights.wr, (units, out)),
            ]
            for label, array, shape in expected:
                if array is not None and array.shape != shape:
                    raise InputError(
                        f"the {label} of {place} has shape {array.shape} (input size first), but {shape} is needed for "
                        f"a {stack.cell}: the weights do not fit together."
                    )
        width = sum(weights.out for weights in layer)
