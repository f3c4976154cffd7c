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
from rnngraph.sources.tape.changed import RULES
from rnngraph.sources.torch.finding.recurrence import Recurrence, multiplying_states
from rnngraph.sources.torch.fused.layout import cell_name, cell_of, rows_of, weights_of
from rnngraph.trace.change import ORTHOGONAL, SCALE, Change

_PLAIN = CELLS["tanh"]  # a weight of the user's own is changed as that of a plain cell


def change_weights(one: Recurrence, module: Any, copies: Mapping[int, Any], change: Change) -> bool:
    """Change the weights; `copies` are those of the copy by the id of the model's own."""
    if not cell_name(module):
        return _change_own(one, copies, change)
    found = [_change_cell(module, ending, change) for ending in _endings(module)]
    return all(found)


def _endings(module: Any) -> list[str]:
    if not isinstance(module, torch.nn.RNNBase):
        return [""]
    sides = ("", "_reverse") if module.bidirectional else ("",)
    return [f"_l{layer}{side}" for layer in range(module.num_layers) for side in sides]


def _change_cell(module: Any, ending: str, change: Change) -> bool:
    names = ["weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ())]
    own = dict(module.named_parameters(recurse=False))
    flat = [own.get(name + ending) for name in (*names, *(("weight_hr",) if f"weight_hr{ending}" in own else ()))]
    if any(weight is None for weight in flat):  # computed from another, as by weight drop
        return False
    cell, weights = cell_of(module), weights_of(module, flat, torch.float64)
    changed = RULES[change.kind](cell, {name: value.copy() for name, value in weights.items()}, change.number)
    if changed is None or (
        not module.bias and any(name.startswith("b") and value.any() for name, value in changed.items())
    ):
        return False
    theirs = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias_ih", "bh": "bias_hh"}
    for name, value in changed.items():
        if name.startswith("b") and not module.bias:
            continue
        _put(own[theirs[name] + ending], rows_of(module, value))
        if name == "b" and "bh" not in weights:  # of two biases that add up, ours is the sum
            _put(own["bias_hh" + ending], np.zeros_like(value))
    return True


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
