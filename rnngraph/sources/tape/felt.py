"""Where a gradient arrives although its numbers were rounded to zero: the same walk in numbers that cannot underflow.

In: a tape and the cotangents of its loss. Out: `Felt`, and at which timesteps something arrives at other entries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.many import walk_rows
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import Felt
from rnngraph.trace.magnitudes import Booleans


@dataclass(frozen=True, slots=True)
class Arrives:
    """Where a gradient arrives beside the states."""

    gates: dict[int, Booleans]  # recurrence -> (T,) at x·Wx + b, through which its weights get theirs
    watched: dict[int, Booleans]  # entry id -> (T,)


def feel(tape: Tape, starts: Mapping[int, Contribution], walk: Walk, watched: Collection[int]) -> tuple[Felt, Arrives]:
    """Walk the whole loss as a single row.

    Args:
        tape: the recorded pass.
        starts: cotangents by node id.
        walk: a walk over all samples; what is told by it is set here.
        watched: ids of further entries over time, (N, T, ...).

    Returns:
        what arrives at states, and beside them.
    """
    numbers = {one.block.id: number for number, one in enumerate(tape.recurrences) if one.block is not None}
    nodes = {
        node_id: (number, kind, t)
        for number, one in enumerate(tape.recurrences)
        for kind, ids in one.states.items()
        for t, node_id in enumerate(ids)
    }
    first = {
        node_id: (number, kind) for number, one in enumerate(tape.recurrences) for kind, node_id in one.initial.items()
    }
    keys = [(number, kind, one.timesteps) for number, one in enumerate(tape.recurrences) for kind in one.kinds]
    total = {(number, kind): np.zeros(time + 1, bool) for number, kind, time in keys}
    carried, immediate = ({(number, kind): np.zeros(time, bool) for number, kind, time in keys} for _ in range(2))
    gates = {number: np.zeros(one.timesteps, bool) for number, one in enumerate(tape.recurrences)}
    seen = {entry: np.zeros(tape.entry(entry).value.shape[1], bool) for entry in watched}

    def see_block(block: Block, t: int, low: int, logs: list[Array]) -> None:
        for kind, log in zip(block.columns, logs, strict=True):
            total[numbers[block.id], kind][t + 1] = bool((log > -np.inf).any() or np.isnan(log).any())

    def feel_block(block: Block, t: int, to_kinds: list[bool], own: list[bool], to_gates: bool) -> None:
        gates[numbers[block.id]][t] = to_gates
        for kind, one, other in zip(block.columns, to_kinds, own, strict=True):
            carried[numbers[block.id], kind][t], immediate[numbers[block.id], kind][t] = one, other

    def feel_node(entry: int, some: list[Cotangents]) -> None:
        if entry in seen:
            seen[entry] |= _times(some, seen[entry])
        if entry in first:
            total[first[entry]][0] |= any(_any(one) for one in some)
        if entry in nodes:
            number, kind, t = nodes[entry]
            place = tape.entry(entry).place
            for one in some:
                consumer = tape.entry(one.by) if one.by >= 0 else None
                far = consumer is not None and t != consumer.timestep >= 0 and consumer.place == place
                (carried if far else immediate)[number, kind][t] |= _any(one)

    def see_node(entry: int, low: int, log: Array) -> None:
        if entry in nodes:
            number, kind, t = nodes[entry]
            total[number, kind][t + 1] = bool((log > -np.inf).any() or np.isnan(log).any())

    walk.see_block, walk.feel_block, walk.feel_node, walk.see_node = see_block, feel_block, feel_node, see_node
    rows: dict[int, list[Cotangents]] = {}
    for start, cotangent in starts.items():
        entry = tape.entry(start)
        rows.setdefault(entry.id, []).append(_row(entry, start, cotangent))
    with np.errstate(all="ignore"):
        walk_rows(walk, rows, 1)
    return Felt(total, immediate, carried), Arrives(gates, seen)


def _row(entry: Block | Node, start: int, cotangent: Contribution) -> Cotangents:
    array = np.asarray(cotangent, np.float64)[None]
    if isinstance(entry, Block) and start != entry.id:
        return Cotangents(StateSlice(*entry.find(start), array), 0, 1)
    return Cotangents(array, 0, 1)


def _any(one: Cotangents) -> bool:
    value = one.value
    return bool(np.any(value if isinstance(value, np.ndarray) else getattr(value, "array", getattr(value, "rows", 1))))


def _times(some: Collection[Cotangents], column: Booleans) -> Booleans:
    """Say at which timesteps anything arrives, (T,)."""
    found = np.zeros_like(column)
    for one in some:
        state = single_state(one.value)
        if state is not None:
            found[state[1]] |= bool(state[2].any())
        elif isinstance(one.value, np.ndarray) and one.value.ndim >= 3:
            axes = (0, 1, *range(3, one.value.ndim))
            found[one.first : one.first + one.value.shape[2]] |= one.value.any(axis=axes)
        else:
            found |= _any(one)
    return found


def lost_steps(step: Step, parameter: int, arrives: Arrives, numbers: Mapping[int, int], timesteps: int) -> Booleans:
    """Say at which timesteps a parameter's zero is an underflow: a gradient arrives where it is used.

    Args:
        step: what reached the parameter.
        parameter: its node id.
        arrives: where a gradient arrives.
        numbers: the recurrence of a block's entry id.
        timesteps: T of the trace.
    """
    found = np.zeros(timesteps, bool)
    for entry in step.consumers:
        if isinstance(entry, Block):
            here = np.array(arrives.gates[numbers[entry.id]])
            name = next(key for key, source in entry.sources.items() if source == parameter)
            if name == "Wh":  # it adds nothing at a step before which the state is zero
                before = np.asarray(entry.order(entry.columns["h"])[:-1].any(axis=(1, 2)))
                here &= entry.order(before)
            found[: entry.steps] |= here
        elif entry is not None and entry.id in arrives.watched:
            column = arrives.watched[entry.id]
            found[: len(column)] |= column
    return found
