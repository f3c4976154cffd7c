"""Whether the loss reads many timesteps at once, as pooling and attention do: early steps then get gradient directly.

In: a tape. Out: yes or no. Lags are those of the recurrence alone; where this says yes, a gradient has another way.
"""

from __future__ import annotations

from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Tape

NOTE = (
    "the loss reads many timesteps at once (pooling or attention): early steps get gradient directly, and the lags are "
    "those of the recurrence alone"
)
_LINEAR = frozenset(
    (
        "sum",
        "mean",
        "add",
        "subtract",
        "negate",
        "index",
        "reshape",
        "linear",
        "project",
        "concatenate",
        "stack",
        "detach",
    )
)


def reads_many_steps(tape: Tape) -> bool:
    """Tell whether states of several timesteps are put together before something that is not linear in them.

    A loss that is a plain sum over timesteps is not meant: it is a loss at every step.
    """
    states = {node_id for one in tape.recurrences for ids in one.states.values() for node_id in ids}
    leads = bytearray(len(tape.nodes))  # to a state
    for node in reversed(tape.nodes):
        if node.id in states or leads[node.id]:
            for source in node.inputs:
                leads[source] = 1
    after, pooled = bytearray(len(tape.nodes)), bytearray(len(tape.nodes))
    for node in tape.nodes:
        dependent = [source for source in node.inputs if after[source]]
        after[node.id] = node.id in states or bool(dependent)
        if node.id in states or leads[node.id] or not dependent:
            continue
        before = any(pooled[source] for source in dependent)
        if before and not _is_linear(node, len(dependent)):
            return True
        pooled[node.id] = before or _joins_steps(node)
    return False


def _is_linear(node: Node, dependent: int) -> bool:
    """Whether a node is linear in what depends on states; `dependent` of its inputs do."""
    return node.op.name in _LINEAR or (node.op.name in ("multiply", "matmul", "divide") and dependent == 1)


def _joins_steps(node: Node) -> bool:
    """Whether a node takes the time axis out of a (batch, time, ...) argument."""
    argument = node.arguments[0]
    if argument.ndim < 3 or argument.shape[1] == 1:
        return node.op.name == "matmul" and node.arguments[1].ndim > 2 and node.arguments[1].shape[-2] > 1
    if node.op.name in ("sum", "mean"):
        return 1 - argument.ndim in node.options["axis"] and node.value.ndim > 1
    return node.op.name == "reshape" and node.value.shape[:1] == argument.shape[:1] and node.value.ndim == 2
