"""What a network is fed over time: inputs, or words that were looked up, and which recurrences read them.

In: a tape. Out: nodes, and the recurrences that read no other, by the node that they read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Mapping

from rnngraph.autodiff.along import DOT, EINSUM
from rnngraph.autodiff.node import INPUT, PARAMETER, Node
from rnngraph.autodiff.ops import MATMUL
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.norms import norm

_PRODUCTS = frozenset((MATMUL, DOT, EINSUM))


def inputs_of(tape: Tape) -> tuple[int, ...]:
    """Give the ids of the inputs over time: (N, T, D) for some recurrence's T, and no initial states."""
    times = {one.timesteps for one in tape.recurrences}
    # Initial states of a stack, (layers, N, H), look like a sequence where N happens to be T.
    starting = {tape.entry(i) for one in tape.recurrences for i in one.initial.values()}
    behind = {one.id for one in starting}.union(*(one.inputs for one in starting))
    return tuple([
        entry.id
        for entry in tape.entries
        if isinstance(entry, Node) and _is_fed(tape, entry) and entry.value.shape[1] in times and entry.id not in behind
    ])  # fmt: skip


def _is_fed(tape: Tape, node: Node) -> bool:
    if node.value.ndim != 3 or node.value.dtype.kind != "f" or node.op.role == "constant":
        return False
    return node.op is INPUT or (bool(node.inputs) and tape.entry(node.inputs[0]).value.dtype.kind != "f")


def batch_of(tape: Tape, one: Recurrence) -> int:
    """Give the number of samples of a recurrence."""
    if one.block is not None:
        return one.block.sample_count
    return 1 if one.batch_axis is None else int(tape.entry(one.node_ids(one.kinds[0])[0]).value.shape[one.batch_axis])


def fed_inputs(tape: Tape, inputs: Container[int]) -> dict[int, list[int]]:
    """Give the numbers of the recurrences that read an input, by the id of its node.

    A layer says which node it reads, and is fed where no other recurrence is behind that. Of states that are nodes,
    every one of `inputs` from which one comes without passing another recurrence is read: those that a weight
    multiplies, where one does, as a mask beside them says what becomes of a state. What is declared comes first.
    """
    states = [{i for ids in one.states.values() for i in ids} for one in tape.recurrences]
    ends = {one.block.id for one in tape.recurrences if one.block is not None}.union(*states)
    fed: dict[int, list[int]] = {}
    for number, one in enumerate(tape.recurrences):
        if one.block is None:
            below = set() if one.fed else {i for state in states[number] for i in tape.entry(state).inputs}
            some = sorted(_leaves(tape, below, ends, inputs) - ends)
        else:
            source = one.block.sources["x"]
            some = [source] if _leaves(tape, [source], ends, inputs).isdisjoint(ends) else []
        weighed = [i for i in some if not math.isnan(_weight(tape, {i}))] if len(some) > 1 else some
        for source in weighed or some:
            fed.setdefault(source, []).append(number)
    return {source: numbers for source, numbers in fed.items() if _fits(tape, source, tape.recurrences[numbers[0]])}


def _leaves(tape: Tape, nodes: Iterable[int], ends: Container[int], inputs: Container[int]) -> set[int]:
    """Go down from some nodes as far as to a recurrence, of those that end there, or to one of some inputs."""
    waiting, seen, found = list(nodes), set(nodes), set[int]()
    while waiting:
        entry = tape.entry(waiting.pop())
        if entry.id in ends or entry.id in inputs:
            found.add(entry.id)
            continue
        below = [i for i in entry.inputs if i not in seen]
        seen.update(below)
        waiting += below
    return found


def _fits(tape: Tape, source: int, reader: Recurrence) -> bool:
    shape = tape.entry(source).value.shape
    return len(shape) == 3 and shape[:2] == (batch_of(tape, reader), reader.timesteps)


def read_by(tape: Tape, fed: Mapping[int, list[int]]) -> dict[int, tuple[str, float]]:
    """Give what each recurrence reads, by its number, where that is an input: its name, and its weight's norm."""
    found = {
        number: (one.fed_name, _weight(tape, {i for some in one.fed.values() for i in some}))
        for number, one in enumerate(tape.recurrences) if one.fed
    }  # fmt: skip
    for source, numbers in fed.items():
        for number in numbers:
            block = tape.recurrences[number].block
            weight = _weight(tape, {source}) if block is None else norm(block.weights["Wx"])
            found[number] = input_name(tape, source), weight
    return found


def _weight(tape: Tape, nodes: Collection[int]) -> float:
    """Give the Frobenius norm of all weights that multiply some nodes or parts of them; NaN where none does."""
    parts, weights = set(nodes), dict[int, float]()
    for node in tape.entries:
        if not isinstance(node, Node) or parts.isdisjoint(node.inputs):
            continue
        if node.op in _PRODUCTS:
            weights |= {leaf.id: norm(leaf.value) for i in node.inputs if (leaf := _leaf(tape, i)) and i not in parts}
        elif node.op.role == "move":
            parts.add(node.id)
    return math.hypot(*weights.values()) if weights else math.nan


def _leaf(tape: Tape, i: int) -> Node | None:
    node = tape.entry(i)
    while node.inputs and isinstance(node, Node) and node.op.role == "move":
        node = tape.entry(node.inputs[0])
    return node if isinstance(node, Node) and node.op is PARAMETER else None


def fed_steps(tape: Tape, fed: Mapping[int, list[int]]) -> dict[int, tuple[int, int]]:
    """Give the first reader and the timestep of data that enter single steps, by node id; not of an input in `fed`."""
    known = {number for numbers in fed.values() for number in numbers}
    found: dict[int, tuple[int, int]] = {}
    for number, one in enumerate(tape.recurrences):
        for t, some in one.fed.items() if number not in known else ():
            for i in some:
                found.setdefault(i, (number, t))
    return found


def input_name(tape: Tape, node_id: int) -> str:
    """Name an input, as the trace does."""
    entry = tape.entry(node_id)
    return str(entry.name or (entry.place[-1][1] if entry.place else entry.op.name))
