"""PyTorch's own gradients of a layer's weights, in our layout, to compare a replay with.

In: what the hooks on the parameters kept. Out: arrays by our parameters' names.
"""

from __future__ import annotations

from typing import Any

from rnngraph.autodiff.contribution import Array
from rnngraph.nn.recurrent import suffix
from rnngraph.sources.stack import torch_stack
from rnngraph.sources.torch.call import Call
from rnngraph.sources.torch.sequence import layered


def weight_gradients(grads: dict[str, Any], call: Call) -> dict[str, Array]:
    """Put PyTorch's gradients into our layout, by our parameters' names; only what PyTorch computed is there."""
    kept = {
        name: gradient
        for name, gradient in layered(grads).items()
        # The gradient of the sum of two biases is either one's, not their sum.
        if not (name.startswith("bias_hh") and call.cell != "gru" and name.replace("_hh", "_ih") in layered(grads))
    }
    wanted = layered(call.weights)
    missing = {name for name in wanted if name not in kept and not name.startswith("bias_hh")}
    if missing:  # frozen weights: their gradients are unknown, and the rest is compared
        kept |= {name: wanted[name] for name in missing}
    if not any(name not in missing for name in kept):
        return {}
    arrays = {name: _array(call, tensor) for name, tensor in kept.items()}
    stack = torch_stack(call.module, call.cell, arrays)
    found: dict[str, Array] = {}
    for number, layer in enumerate(stack.layers):
        for weights, direction in zip(layer, stack.directions, strict=True):
            torch_ending = f"_l{number}" + ("_reverse" if direction == "reverse" else "")
            for key, name in (
                ("wx", "weight_ih"),
                ("wh", "weight_hh"),
                ("b", "bias_ih"),
                ("bh", "bias_hh"),
                ("wr", "weight_hr"),
            ):
                array = getattr(weights, key)
                if array is not None and name + torch_ending not in missing:
                    ours = key[0].upper() + key[1:] if key[0] == "w" else key
                    found[f"{call.module}.{ours}{suffix(number, direction)}"] = array
    return found


def _array(call: Call, tensor: Any) -> Array:
    # A gradient has the dtype of its weight, which under autocast is wider than the arithmetic's.
    array: Array = tensor.detach().to("cpu").double().numpy()
    return array.astype(call.dtype)
