"""The weights of one module changed as a remedy says: of PyTorch's own by our names, of others as the graph tells.

In: a recurrence of the pass, its module in a copy, and a change. Out: whether it means anything there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.nn.cells import CELLS
from rnngraph.sources.checkpoint.conventions.torch_arrays import torch_layer
from rnngraph.sources.stack import reordered
from rnngraph.sources.tape.changed import RULES
from rnngraph.sources.torch.fused_layers.layout import array, cell_name, cell_of
from rnngraph.sources.torch.recurrences.recurrence import Recurrence, multiplying_states
from rnngraph.trace.change import ORTHOGONAL, SCALE, Change

_THEIRS = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias_ih", "bh": "bias_hh"}
_PLAIN = CELLS["tanh"]  # a weight of the user's own is changed as that of a plain cell


def change_weights(one: Recurrence, module: Any, copies: Mapping[int, Any], change: Change) -> bool:
    """Change the weights; `copies` are those of the copy by the id of the model's own."""
    if not cell_name(module):
        return _change_own(one, copies, change)
    cells = isinstance(module, torch.nn.RNNCellBase)
    layers = [[*_THEIRS.values()][: 4 if module.bias else 2]] if cells else module._all_weights
    return all(_change_cell(module, {name.partition("_l")[0]: name for name in names}, change) for names in layers)


def _change_cell(module: Any, names: Mapping[str, str], change: Change) -> bool:
    """Change the weights of a cell, or of one layer and direction; `names` are its own by PyTorch's without a layer.

    One that is computed from another, as by weight norm, cannot be changed itself.
    """
    own = dict(module.named_parameters(recurse=False))
    cell, order = cell_of(module), cell_of(module).gate_order.get("torch")
    known = torch_layer({kind: array(getattr(module, name), torch.float64) for kind, name in names.items()}, cell)
    blank = np.zeros(cell.blocks * cell.units(known))
    weights = {name: np.array(known.get(name, blank)) for name in cell.names}
    changed = RULES[change.kind](cell, weights, change.number)
    if changed is None or any(names.get(_THEIRS[name], "") not in own for name in changed if _is_there(module, name)):
        return False
    for name, value in changed.items():
        if _is_there(module, name):
            theirs = value if order is None else reordered(value, "".join(cell.facts.gates), order)
            _put(own[names[_THEIRS[name]]], theirs.T)
        elif value.any():  # a bias, of a module that has none
            return False
    if module.bias and "b" in changed and "bh" not in weights:  # of two biases that add up, ours is the sum
        _put(own[names["bias_hh"]], blank)
    return True


def _is_there(module: Any, name: str) -> bool:
    return bool(module.bias) or not name.startswith("b")


def _put(weight: Any, value: Any) -> None:
    weight.copy_(torch.from_numpy(np.ascontiguousarray(value)).to(weight.device, weight.dtype))


def _change_own(one: Recurrence, copies: Mapping[int, Any], change: Change) -> bool:
    """Scale, or make orthogonal, the weights that the state is multiplied with."""
    if change.kind not in (SCALE, ORTHOGONAL):
        return False
    parts = multiplying_states(one)
    if not parts or any(id(part.weight) not in copies for part in parts):
        return False
    for part in parts:
        copied = copies[id(part.weight)]
        into = copied.T if part.turned else copied  # (in, out), of which the state multiplies some rows
        known: Array = into[part.rows].detach().cpu().double().numpy()
        found = RULES[change.kind](_PLAIN, {"Wh": known}, change.number)
        if found is None:
            return False
        into[part.rows] = torch.from_numpy(found["Wh"]).to(copied.device, copied.dtype)
    return True
