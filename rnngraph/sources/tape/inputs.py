"""Which nodes of a tape are what a network is fed over time: inputs, or words that were looked up.

In: a tape and a node. Out: yes or no.
"""

from __future__ import annotations

from rnngraph.autodiff.node import INPUT, Node
from rnngraph.autodiff.tape import Tape


def is_input(tape: Tape, node: Node) -> bool:
    """Whether a node is an input over time, (N, T, D) for some recurrence's T, and no initial state."""
    value = node.value
    if value.ndim != 3 or value.dtype.kind != "f" or node.op.role == "constant":
        return False
    if node.op is not INPUT and not (node.inputs and tape.entry(node.inputs[0]).value.dtype.kind != "f"):
        return False
    times = {one.timesteps for one in tape.recurrences}
    return value.shape[1] in times and not _starts_states(tape, node)


def _starts_states(tape: Tape, node: Node) -> bool:
    # Initial states of a stack, (layers, N, H), look like a sequence where N happens to be T.
    starting = [tape.entry(node_id) for one in tape.recurrences for node_id in one.initial.values()]
    return any(node.id == one.id or node.id in one.inputs for one in starting)
