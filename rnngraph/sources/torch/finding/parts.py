"""The operations of one step of a user's own cell, as parts of a picture.

In: the nodes that a step made. Out: `PartTrace`s: what stands in the unrolled picture at the detail of operations.
"""

from __future__ import annotations

import re
from typing import Any

from rnngraph.sources.torch.finding.recurrence import Recurrence
from rnngraph.trace.cell import INPUT, PREVIOUS, PartTrace

_LABELS = {
    "Addmm": "·W + b", "Mm": "·W", "Bmm": "·", "Add": "+", "Sub": "-", "Rsub": "1 -", "Mul": "*", "Div": "/",
    "Tanh": "tanh", "Sigmoid": "σ", "Relu": "relu", "Convolution": "conv", "NativeLayerNorm": "layer norm",
    "NativeBatchNorm": "batch norm", "Softmax": "softmax", "Exp": "exp", "Log": "log", "Neg": "-", "Where": "where",
}  # fmt: skip
# They move data and compute nothing.
_MOVES = re.compile(
    r"(View|UnsafeView|ReshapeAlias|Slice|Select|Squeeze|Unsqueeze|T|Transpose|Permute|Split|SplitWithSizes|Chunk|Expand|"
    r"Clone|Alias|ToCopy|Unbind|Cat|Stack|AsStrided)Backward\d+"
)
_MOST = 60  # parts that a picture can hold


def operations_of(nodes: list[Any], one: Recurrence, t: int) -> tuple[PartTrace, ...]:
    """Give the operations of step t; none of a step too large to be drawn."""
    states = {edge[0]: k for k, edge in enumerate(one.states[t])} if one.states else {}
    before = {edge[0]: k for k, edge in enumerate(one.states[t - 1])} if t else {}
    shown = [node for node in nodes if node in states or not _MOVES.fullmatch(node.name())]
    if not 0 < len(shown) <= _MOST:
        return ()
    keys = {node: _kind(states[node]) if node in states else f"{number}" for number, node in enumerate(shown)}
    levels: dict[Any, int] = {}
    inputs = {node: _inputs(node, keys, before, set(nodes)) for node in shown}
    by_key = {keys[node]: node for node in shown}
    for node in shown:
        below = [levels[by_key[key]] for key in inputs[node] if key in by_key and by_key[key] in levels]
        levels[node] = max(below, default=-1) + 1
    found = []
    for node in shown:
        row = [other for other in shown if levels[other] == levels[node]]
        label = _label(node)
        if node in states:
            label = f"{label}  {_kind(states[node])}"
        found.append(
            PartTrace(
                keys[node], label, _role(node, states), inputs[node] or (INPUT,), f"{label}, as autograd recorded it",
                (levels[node], row.index(node), len(row)),
            )
        )  # fmt: skip
    return tuple(found)


def _kind(place: int) -> str:
    return "h" if not place else f"h{place + 1}"


def _role(node: Any, states: dict[Any, int]) -> str:
    return "state" if node in states else "gate" if node.name().startswith(("Tanh", "Sigmoid")) else "part"


def _label(node: Any) -> str:
    name = re.sub(r"Backward\d*$", "", node.name())
    return _LABELS.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _inputs(node: Any, keys: dict[Any, str], before: dict[Any, int], nodes: set[Any]) -> tuple[str, ...]:
    """Look through moves to the parts, the states before, and what comes from outside."""
    found: dict[str, None] = {}
    waiting = [below for below, _ in reversed(node.next_functions)]
    while waiting:
        one = waiting.pop()
        if one is None or not one.next_functions:  # a constant or a weight
            continue
        if one in before:
            found[PREVIOUS + _kind(before[one])] = None
        elif one in keys:
            found[keys[one]] = None
        elif one in nodes:
            waiting += [below for below, _ in one.next_functions]
        else:
            found[INPUT] = None
    return tuple(found)
