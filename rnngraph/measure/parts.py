"""Which operations treat samples, or timesteps, apart; and a recorded node cut down to some samples or to one timestep.

In: nodes of a tape. Out: nodes with the same op whose vjp walks back only the part that is asked for. Readers:
`routes` and `transport`. An op that is in no table here is walked whole, which is always right and sometimes
slower.
"""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node

Rows: TypeAlias = "slice | Array"

ELEMENTWISE = frozenset(
    ("add", "subtract", "multiply", "divide", "negate", "power", "tanh", "sigmoid", "relu", "exp", "log", "where")
)
# The vjps of these read their own value and the listed arguments sample by sample; the others are weights or unread.
_SAMPLED_ARGUMENTS: dict[str, tuple[int, ...]] = {
    "project": (),
    "linear": (),
    "rnn_tanh_step": (),
    "rnn_relu_step": (),
    "lstm_gates": (),
    "lstm_cell": (0, 1),
    "lstm_hidden": (0, 1),
    "gru_hidden": (),
    "gru_gates": (1,),
    "gru_state": (0, 1),
    "reshape": (0,),
    "sum": (0,),
    "mean": (0,),
    "index": (),
    "stack": (),
    "concatenate": (),
    "detach": (),
}
_ALONG_TIME = ELEMENTWISE | {"project", "linear", "matmul", "stack", "concatenate"}


def keeps_samples(node: Node, batch: int) -> bool:
    """Tell whether sample n of the node's value depends on sample n of its inputs only (on axis 0)."""
    name, value = node.op.name, node.value
    if value.ndim < 1 or value.shape[0] != batch:
        return False
    if name in ELEMENTWISE or node.op.vjp is None:
        return True
    if name == "matmul":
        return node.arguments[1].ndim == 2 or node.arguments[1].ndim == value.ndim > 2
    if name == "index":
        first = node.options["index"][0] if node.options["index"] else slice(None)
        return isinstance(first, slice) and first == slice(None)
    if name in ("stack", "concatenate"):
        return bool(-node.options["axis"] != value.ndim)
    if name in ("sum", "mean"):
        return -node.arguments[0].ndim not in node.options["axis"]
    if name == "reshape":
        return node.arguments[0].ndim > 0 and node.arguments[0].shape[0] == batch
    return name in _SAMPLED_ARGUMENTS


def at_samples(node: Node, rows: Rows, batch: int) -> Node:
    """Cut a node that keeps samples apart down to some of them."""
    part = copy.copy(node)
    part.value = node.value[rows]
    name = node.op.name
    if name in ELEMENTWISE:
        shape = node.value.shape
        part.arguments = tuple([_rows_of(argument, rows, shape) for argument in node.arguments])
        if name == "where":
            part.options = {**node.options, "mask": _rows_of(node.options["mask"], rows, shape)}
        return part
    sampled = _SAMPLED_ARGUMENTS.get(name, ())
    if name == "matmul":
        sampled = (0, 1) if node.arguments[1].ndim > 2 else (0,)
    if sampled:
        part.arguments = tuple(
            [argument[rows] if place in sampled else argument for place, argument in enumerate(node.arguments)]
        )
    return part


def keeps_steps(node: Node, batch: int, time: int) -> bool:
    """Tell whether timestep t of the value, (batch, time, ...), depends on timestep t of its inputs only."""
    value, name = node.value, node.op.name
    if value.ndim < 3 or value.shape[:2] != (batch, time) or name not in _ALONG_TIME:
        return False
    if name == "stack":
        return bool(value.ndim + node.options["axis"] == 1)
    if name == "concatenate":
        return bool(value.ndim + node.options["axis"] >= 2)
    if name == "matmul":
        return node.arguments[1].ndim == 2
    return True


def at_step(node: Node, t: int) -> Node:
    """Cut a node that keeps steps apart down to one; the time axis stays, with length 1."""
    part = copy.copy(node)
    part.value = node.value[:, t : t + 1]
    shape = node.value.shape
    if node.op.name in ELEMENTWISE:
        part.arguments = tuple([_step_of(argument, t, shape) for argument in node.arguments])
        if node.op.name == "where":
            part.options = {**node.options, "mask": _step_of(node.options["mask"], t, shape)}
    elif node.op.name != "stack":
        part.arguments = (node.arguments[0][:, t : t + 1], *node.arguments[1:])
    return part


def _rows_of(argument: Array, rows: Rows, shape: tuple[int, ...]) -> Array:
    aligned = argument.ndim == len(shape) and argument.shape[0] == shape[0]
    return np.asarray(argument[rows]) if aligned else argument


def _step_of(argument: Array, t: int, shape: tuple[int, ...]) -> Array:
    axis = argument.ndim - len(shape) + 1  # where broadcasting lines the time axis up
    if axis < 0 or argument.shape[axis] != shape[1] or shape[1] == 1:
        return argument
    index: tuple[Any, ...] = (*(slice(None),) * axis, slice(t, t + 1))
    return np.asarray(argument[index])
