"""PyTorch's: `weight_ih_l0` (gates · H, inputs) and its siblings; an LSTM's gates lie as i, f, g, o."""

from __future__ import annotations

import re

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.nn.cells import CELLS, Cell
from rnngraph.sources.checkpoint.conventions.convention import Convention
from rnngraph.sources.stack import Weights, reordered


def torch_layer(own: dict[str, Array], cell: Cell) -> Weights:
    """Lay out the arrays of one layer and direction, by PyTorch's names.

    Where a cell has one bias, PyTorch's two become their sum; a gradient of the sum equals either one's.
    """
    order, gates = cell.gate_order.get("torch"), "".join(cell.facts.gates)
    names = {"weight_ih": "Wx", "weight_hh": "Wh", "bias_ih": "b", "bias_hh": "bh"}
    found = {}
    for key, name in names.items():
        if key in own:
            array = np.ascontiguousarray(own[key].T)
            found[name] = array if order is None else reordered(array, order, gates)
    if "bh" in found and "bh" not in cell.names:
        bias = found.pop("bh")
        found["b"] = found["b"] + bias if "b" in found else bias
    if "weight_hr" in own:
        found["Wr"] = np.ascontiguousarray(own["weight_hr"].T)
    return found


TORCH = Convention(
    expected="weight_ih_l0 and weight_hh_l0",
    pattern=re.compile(
        r"^(?P<prefix>.*?)(?P<key>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?P<place>(_l\d+)?(_reverse)?)$"
    ),
    input="weight_ih", recurrent="weight_hh", biases=("bias_ih", "bias_hh"), projection="weight_hr", gates=0,
    layer=lambda one, own, cell: torch_layer(own, CELLS[cell]),
)  # fmt: skip
