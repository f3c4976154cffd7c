"""Where a gradient arrives although its numbers were rounded to zero: the same walk in numbers that cannot underflow.

In: a plan, and the cotangents of a loss. Out: `Felt`, and at which timesteps something arrives at other entries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.autodiff.many import walk_rows
from rnngraph.autodiff.node import Node
from rnngraph.measure.recording import Felt
from rnngraph.sources.tape.plan import Plan
from rnngraph.trace.magnitudes import Booleans


@dataclass(frozen=True, slots=True)
class Arrives:
    """Where a gradient arrives beside the states."""

    gates: dict[int, Booleans]  # recurrence -> (T,) at x·Wx + b, through which its weights get theirs
    watched: dict[int, Booleans]  # entry id -> (T,)


def feel(plan: Plan, starts: Mapping[int, Contribution]) -> tuple[Felt, Arrives]:
    """Walk the whole loss as a single row.

    Args:
        plan: of the recorded pass; what it watches are entries over time, (N, T, ...).
        starts: cotangents by node id.

    Returns:
        what arrives at states, and beside them.
    """
    told = _Told(plan)
    walk = plan.whole(told.see)
    walk.feel_block, walk.feel_node = told.inside, told.entry
    rows: dict[int, list[Cotangents]] = {}
    for start, cotangent in starts.items():
        entry = plan.tape.entry(start)
        rows.setdefault(entry.id, []).append(_row(entry, start, cotangent))
    with np.errstate(all="ignore"):
        walk_rows(walk, rows, 1)
    return Felt(told.total, told.immediate, told.carried), Arrives(told.gates, told.watched)


class _Told:
    """What a walk tells, where anything at all arrives: by recurrence, state and timestep."""

    def __init__(self, plan: Plan) -> None:
        tape = plan.tape
        recurrences = list(enumerate(tape.recurrences))
        self.tape, self.numbers, self.places = tape, plan.numbers, plan.nodes
        self.first = {node_id: (number, kind) for number, one in recurrences for kind, node_id in one.initial.items()}
        self.total, self.carried, self.immediate = (
            {(number, kind): np.zeros(one.timesteps + more, bool) for number, one in recurrences for kind in one.kinds}
            for more in (1, 0, 0)
        )
        self.gates = {number: np.zeros(one.timesteps, bool) for number, one in recurrences}
        self.watched = {entry: np.zeros(tape.entry(entry).value.shape[1], bool) for entry in plan.watched}

    def see(self, number: int, kind: str, t: int, low: int, logs: Array) -> None:
        """Note what a state has in all."""
        self.total[number, kind][t + 1] |= bool((logs > -np.inf).any() or np.isnan(logs).any())

    def inside(self, block: Block, t: int, to_kinds: list[bool], own: list[bool], to_gates: bool) -> None:
        """Note by which way it reached a step of a block."""
        number = self.numbers[block.id]
        self.gates[number][t] = to_gates
        for kind, carried, immediate in zip(block.columns, to_kinds, own, strict=True):
            self.carried[number, kind][t], self.immediate[number, kind][t] = carried, immediate

    def entry(self, entry: int, some: list[Cotangents]) -> None:
        """Note by which way it reached a state that is a node, and what reaches other entries."""
        if entry in self.watched:
            self.watched[entry] |= _times(some, self.watched[entry])
        if entry in self.first:
            self.total[self.first[entry]][0] |= any(_any(one) for one in some)
        if entry in self.places:
            number, kind, t = self.places[entry]
            for one in some:
                way = self.carried if self._from_another_step(entry, t, one) else self.immediate
                way[number, kind][t] |= _any(one)

    def _from_another_step(self, entry: int, t: int, one: Cotangents) -> bool:
        consumer = self.tape.entry(one.by) if one.by >= 0 else None
        return consumer is not None and t != consumer.timestep >= 0 and consumer.place == self.tape.entry(entry).place


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
