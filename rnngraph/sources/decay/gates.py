"""Where a running layer computes its gate: one function a way, which takes it from a hook.

In: what the hook saw, PyTorch objects. Out: the gate before its nonlinearity, bias included, (batch, time, features),
or None where it cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"_l(?P<layer>\d+)(?P<reverse>_reverse)?")


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


# ---- of nn.LSTM and nn.GRU, which compute all layers and steps at once: a copy of the lower layers gives the states
def of_states(running: Running) -> Any:
    """Compute `Wx x + Wh h + bh`, to which the formula adds the other bias; None where it cannot be told.

    A cell was called with one step, (batch, features). A module was called with a sequence; packed ones, and layers
    below which units are dropped at random, cannot be computed again.
    """
    import torch

    module, given, found = running.layer, running.arguments[0], _TAG.fullmatch(running.tag)
    if not torch.is_tensor(given):
        return None
    with torch.no_grad():
        if found is None:
            first = _first(running)
            before = given.new_zeros(len(given), module.hidden_size) if first is None else first[0]
            return _gates(running, given, before) if given.ndim == 2 else None
        number = int(found["layer"])
        if given.ndim != 3 or (number and module.training and module.dropout):
            return None
        return _of_sequence(running, given, number, reverse=found["reverse"] is not None)


def _of_sequence(running: Running, given: Any, number: int, *, reverse: bool) -> Any:
    import torch

    module, first = running.layer, _first(running)
    given = given if module.batch_first else given.transpose(0, 1)
    directions = 2 if module.bidirectional else 1
    below = _lowest(module, number, given, first) if number else given
    states = _lowest(module, number + 1, given, first).chunk(directions, -1)[int(reverse)]
    start = torch.zeros_like(states[:, :1]) if first is None else first[0][directions * number + reverse][:, None]
    before = torch.cat([states[:, 1:], start], 1) if reverse else torch.cat([start, states[:, :-1]], 1)
    return _gates(running, below, before)


def _gates(running: Running, below: Any, before: Any) -> Any:
    return (
        below @ _weight(running, "weight_ih").T + before @ _weight(running, "weight_hh").T + _weight(running, "bias_hh")
    )


def _weight(running: Running, name: str) -> Any:
    return getattr(running.layer, name + running.tag)


def _first(running: Running) -> tuple[Any, ...] | None:
    """Give the initial states that the module was called with, each (layers and directions, batch, units)."""
    given = [*running.arguments[1:], *running.keywords.values()]
    state = given[0] if given else None
    return None if state is None else state if isinstance(state, tuple) else (state,)


def _lowest(module: Any, layers: int, given: Any, first: tuple[Any, ...] | None) -> Any:
    """Run the lowest layers alone, and give the states of the topmost of them, (batch, time, units)."""
    options = {"proj_size": module.proj_size} if module.proj_size else {}
    copy = type(module)(
        module.input_size, module.hidden_size, layers, bias=module.bias, batch_first=True,
        bidirectional=module.bidirectional, **options,
    )  # fmt: skip
    copy.to(given)
    state = module.state_dict()
    copy.load_state_dict({name: state[name] for name in copy.state_dict()})
    if first is None:
        return copy(given)[0]
    rows = layers * (2 if module.bidirectional else 1)
    begun = tuple(one[:rows].contiguous() for one in first)
    return copy(given, begun if len(begun) > 1 else begun[0])[0]
