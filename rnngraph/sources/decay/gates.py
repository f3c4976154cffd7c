"""Where a running layer computes its gate: one function a way, which takes it from a hook.

In: the layer, the hooked module's arguments and its output, PyTorch objects. Out: the gate before its nonlinearity,
bias included, (batch, time, features). Nothing of PyTorch is imported here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Arguments: TypeAlias = tuple[Any, ...]


def with_dt_bias(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Add the bias to the output of a projection of its own."""
    return output + layer.dt_bias


def with_bias_of_the_last(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Take dt from the end of one projection of everything."""
    return output[..., -layer.dt_bias.shape[0] :] + layer.dt_bias


def of_groups(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Take a from a projection of b and a, which lie group by group of the key heads."""
    heads = layer.dt_bias.shape[0]
    groups = int(layer.num_k_heads)
    each = heads // groups
    split = output.reshape(*output.shape[:-1], groups, 2 * each)[..., each:]
    return split.reshape(*output.shape[:-1], heads) + layer.dt_bias


def of_low_rank(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Take dt's share of Mamba-1's projection through its second projection."""
    rank = layer.dt_proj.weight.shape[1]
    return output[..., :rank] @ layer.dt_proj.weight.T + layer.dt_proj.bias


def of_output(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Take the output of a linear layer, which has added the bias."""
    return output


def of_blocks(layer: Any, arguments: Arguments, output: Any) -> Any:
    """Compute the gate of an RG-LRU from its input, block by block."""
    weight, bias = layer.recurrent_gate_weight, layer.recurrent_gate_bias
    x = arguments[0]
    blocks = x.reshape(*x.shape[:-1], weight.shape[0], 1, weight.shape[1])
    return ((blocks @ weight).squeeze(-2) + bias).reshape(x.shape)
