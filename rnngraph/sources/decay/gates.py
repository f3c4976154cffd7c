"""Where a running layer computes its gate: one function a way, which takes it from a hook.

In: what the hook saw, PyTorch objects. Out: the gate before its nonlinearity, bias included, (batch, time, features),
or None where it cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Running:
    """What a hook saw: the layer that holds the decays, and the hooked module's arguments and output."""

    layer: Any
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    output: Any
    tag: str  # the layer's number and direction in PyTorch's names, such as _l0_reverse; mostly empty


def with_dt_bias(running: Running) -> Any:
    """Add the bias to the output of a projection of its own."""
    return running.output + running.layer.dt_bias


def with_bias_of_the_last(running: Running) -> Any:
    """Take dt from the end of one projection of everything."""
    return running.output[..., -running.layer.dt_bias.shape[0] :] + running.layer.dt_bias


def of_groups(running: Running) -> Any:
    """Take a from a projection of b and a, which lie group by group of the key heads."""
    heads = running.layer.dt_bias.shape[0]
    groups = int(running.layer.num_k_heads)
    each = heads // groups
    split = running.output.reshape(*running.output.shape[:-1], groups, 2 * each)[..., each:]
    return split.reshape(*running.output.shape[:-1], heads) + running.layer.dt_bias


def of_low_rank(running: Running) -> Any:
    """Take dt's share of Mamba-1's projection through its second projection."""
    rank = running.layer.dt_proj.weight.shape[1]
    return running.output[..., :rank] @ running.layer.dt_proj.weight.T + running.layer.dt_proj.bias


def of_output(running: Running) -> Any:
    """Take the output of a linear layer, which has added the bias."""
    return running.output


def of_blocks(running: Running) -> Any:
    """Compute the gate of an RG-LRU from its input, block by block."""
    weight, bias = running.layer.recurrent_gate_weight, running.layer.recurrent_gate_bias
    x = running.arguments[0]
    blocks = x.reshape(*x.shape[:-1], weight.shape[0], 1, weight.shape[1])
    return ((blocks @ weight).squeeze(-2) + bias).reshape(x.shape)
