"""The routes that gradients take from state to state: which nodes they pass, and in which order those are walked.

In: a tape. Out: `Routes`, fixed before any gradient is walked. A node that holds all timesteps at once, such as a
projection between two layers, becomes one slot a timestep, so that a stack is walked step by step and no gradient
over all timesteps is ever formed. Readers: `transport`, `lags`, `spectrum`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from rnngraph.autodiff.node import Node, Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.parts import keeps_steps

Slot: TypeAlias = tuple[int, int]  # node id, and a timestep of a node that holds them all; -1 for a whole node
WHOLE = -1
# By node id and row offset, a coefficient a row: row n of the sum holds coefficient[n] times the node's row n + offset.
Combination: TypeAlias = dict[tuple[int, int], Floats]


@dataclass(frozen=True, slots=True)
class StateKey:
    """One state: its recurrence and its kind."""

    recurrence: Recurrence
    kind: str

    @property
    def ids(self) -> list[int]:
        """Node ids by timestep."""
        return self.recurrence.states[self.kind]


class Routes:
    """The nodes between states of a tape, as slots in an order in which consumers come first."""

    def __init__(self, tape: Tape) -> None:
        """Find the routes; the tape must not grow afterwards."""
        self.tape = tape
        self.states = [StateKey(one, kind) for one in tape.recurrences for kind in one.states]
        self.time = max((len(key.ids) for key in self.states), default=0)
        first = tape.nodes[self.states[0].ids[0]].value if self.states else None
        self.batch = first.shape[0] if first is not None and first.ndim > 1 else 1
        # Where a node is a state: (index into `states`, column), column 0 for an initial state, else timestep + 1.
        self.measured: dict[int, list[tuple[int, int]]] = {}
        for index, key in enumerate(self.states):
            if key.kind in key.recurrence.initial:
                self.measured.setdefault(key.recurrence.initial[key.kind], []).append((index, 0))
            for t, node_id in enumerate(key.ids):
                self.measured.setdefault(node_id, []).append((index, t + 1))
        self.relevant = self._relevant()
        self.split, self.times = self._split()
        slots = [slot for node in tape.nodes if self.relevant[node.id] for slot in self._slots(node)]
        self.targets = {slot: self._targets(slot) for slot in slots}
        self.combinations: dict[int, Combination] = {}  # what `combine` has found out so far
        self.order = self._ordered()
        self.position = {slot: place for place, slot in enumerate(self.order)}

    def _relevant(self) -> bytearray:
        """Mark the nodes that lie between states, states included."""
        nodes = self.tape.nodes
        reaches = bytearray(len(nodes))
        for node in nodes:
            if node.op.name == "detach" and node.id not in self.measured:
                continue
            if node.id in self.measured or any(reaches[source] for source in node.inputs):
                reaches[node.id] = node.requires
        leads = bytearray(len(nodes))
        for node in reversed(nodes):
            if node.id in self.measured:
                leads[node.id] = 1
            if leads[node.id] and node.op.vjp is not None and node.op.name != "detach":
                for source in node.inputs:
                    leads[source] = 1
        return bytearray([a and b for a, b in zip(reaches, leads, strict=True)])

    def _split(self) -> tuple[bytearray, list[int]]:
        """Decide which nodes are walked a timestep at a time, and to which timestep a node belongs (-1: none)."""
        nodes = self.tape.nodes
        blocked, split, times = bytearray(len(nodes)), bytearray(len(nodes)), [-1] * len(nodes)
        for node in reversed(nodes):
            if not self.relevant[node.id]:
                continue
            shape = node.value.shape
            if node.timestep == -1 and not blocked[node.id] and node.id not in self.measured:
                split[node.id] = len(shape) > 2 and keeps_steps(node, self.batch, shape[1])
            columns = [column for _, column in self.measured.get(node.id, ()) if column]
            times[node.id] = columns[0] - 1 if columns else max(node.timestep, times[node.id])
            for position, source in enumerate(node.inputs):
                if not split[node.id] and sliced_step(node, position) is None:
                    blocked[source] = 1
                times[source] = max(times[source], times[node.id])
        return split, times

    def _targets(self, slot: Slot) -> list[tuple[int, Slot]]:
        """List where a slot's gradient goes: the position of the input, and the slot there."""
        node = self.tape.nodes[slot[0]]
        if node.op.vjp is None or node.op.name == "detach":
            return []
        if slot[1] != WHOLE and node.op.name == "stack":  # one timestep of it is one of its many inputs
            inputs = [(slot[1], node.inputs[slot[1]])]
        else:
            inputs = list(enumerate(node.inputs))
        found = []
        for position, source in inputs:
            if not self.relevant[source] or not self.tape.nodes[source].requires:
                continue
            if not self.split[source]:
                found.append((position, (source, WHOLE)))
                continue
            step = slot[1] if slot[1] != WHOLE else sliced_step(node, position)
            found.append((position, (source, -1 if step is None else step)))
        return found

    def _slots(self, node: Node) -> list[Slot]:
        if self.split[node.id]:
            return [(node.id, t) for t in range(node.value.shape[1])]
        return [(node.id, WHOLE)]

    @cached_property
    def chain(self) -> bool:
        """Whether every gradient goes to its own timestep or to the one before, and never skips one."""
        pairs = ((self.step_of(slot), self.step_of(target)) for slot in self.order for _, target in self.targets[slot])
        return all(0 <= here - there <= 1 for here, there in pairs)

    def step_of(self, slot: Slot) -> int:
        """Give the timestep that a slot belongs to, -1 for none."""
        return slot[1] if slot[1] != WHOLE else self.times[slot[0]]

    def _ordered(self) -> list[Slot]:
        """Sort the slots so that consumers come first and late timesteps before early ones, where there is a choice."""
        counts = dict.fromkeys(self.targets, 0)
        for targets in self.targets.values():
            for _, target in targets:
                counts[target] += 1
        ready = [(-self.step_of(slot), -slot[0], slot) for slot, count in counts.items() if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            slot = heapq.heappop(ready)[2]
            order.append(slot)
            for _, target in self.targets[slot]:
                counts[target] -= 1
                if not counts[target]:
                    heapq.heappush(ready, (-self.step_of(target), -target[0], target))
        return order


def sliced_step(node: Node, position: int) -> int | None:
    """Tell which timestep alone an op reads of its input, where it is one."""
    if position == 0 and "t" in node.options:
        return int(node.options["t"])
    if node.op.name == "index" and len(node.options["index"]) == 2:
        samples, step = node.options["index"]
        if isinstance(samples, slice) and samples == slice(None) and isinstance(step, int) and step >= 0:
            return step
    return None
