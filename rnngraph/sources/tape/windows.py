"""Lend the states of a recurrence to whoever measures, as windows: from a block, or gathered from nodes step by step.

In: inner gradients of blocks, or `Step`s of the sweep. Out: `Window`s.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.banding import by_sample
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Inner
from rnngraph.autodiff.block.columns import WINDOW_BYTES
from rnngraph.autodiff.cell import Past
from rnngraph.autodiff.contribution import Array, Contribution, add_up
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import ADD, MULTIPLY, SUBTRACT, TANH, WHERE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import Take, Window
from rnngraph.nn.cells.tanh_relu import SATURATED, is_beyond

_ELEMENTWISE = frozenset((ADD, MULTIPLY, SUBTRACT, WHERE))


def block_window(number: int, inner: Inner) -> Window:
    """Lend a window of a block's inner gradients."""
    block = inner.block
    projected = inner.projected if block.cell.splits_gain else None
    values, *rest = _values(block, inner.past)
    return Window(number, inner.steps, values, inner.total, inner.immediate, inner.carried, projected, *rest)


def _values(block: Block, past: Past) -> tuple[dict[str, Array], Array, Array | None, Array | None]:
    cell, H = block.cell, block.hidden
    values = {kind: block.order(after) for kind, after in past.after.items()}
    saturated = block.order(cell.saturated(past))
    if not cell.facts.gates:
        return values, saturated, None, None
    gates = block.order(past.gates)
    shape = (*gates.shape[:2], len(cell.facts.gates), H)
    return values, saturated, gates.reshape(shape), cell.gates_saturated(gates, H).reshape(shape)


def block_values(number: int, block: Block, take: Take, *, walked: bool) -> None:
    """Lend the values of a block that no gradient reached; where there were gradients, they are zero."""
    chunk = block.window(block.gates.shape[-1])
    for start in range(0, block.steps, chunk):
        stop = min(start + chunk, block.steps)
        steps = block.times(start, stop)
        values, *rest = _values(block, block.past(start, stop))
        zeros = {kind: np.zeros_like(column) for kind, column in values.items()} if walked else {}
        take(Window(number, steps, values, zeros, zeros, zeros, None, *rest))


class NodeWindows:
    """Gathers the steps of a recurrence whose states are nodes: to lend many costs little more than to lend one."""

    def __init__(self, tape: Tape, number: int, take: Take, *, walked: bool) -> None:
        """Start with nothing gathered; `walked` tells whether there are gradients."""
        self.tape, self.number, self.take, self.walked = tape, number, take, walked
        self.recurrence: Recurrence = tape.recurrences[number]
        self.times = {
            node_id: (kind, t) for kind, ids in self.recurrence.states.items() for t, node_id in enumerate(ids)
        }
        first = tape.entry(next(iter(self.times))).value
        self.chunk = max(1, 2 * WINDOW_BYTES // max(first.nbytes, 1))
        self._parts: dict[int, dict[str, tuple[Array, Array, Array]]] = {}
        self._seen: set[int] = set()

    def see(self, step: Step) -> None:
        """Take what reached one state."""
        kind, t = self.times[step.node.id]
        self._at(t)[kind] = self._divided(step, t)

    def _at(self, t: int) -> dict[str, tuple[Array, Array, Array]]:
        if t not in self._parts and len(self._parts) >= self.chunk:
            self._lend()
        self._seen.add(t)
        return self._parts.setdefault(t, {})

    def _divided(self, step: Step, t: int) -> tuple[Array, Array, Array]:
        """Tell the immediate part from the carried, by the timestep of who handed it back."""
        near: list[Contribution] = []
        far: list[Contribution] = []
        place = step.node.place
        for consumer, contribution in zip(step.consumers, step.contributions, strict=True):
            later = consumer is not None and t != consumer.timestep >= 0 and consumer.place == place
            (far if later else near).append(contribution)
        value = step.node.value
        parts = [self._by_sample(add_up(side, value)) if side else self._zeros(value) for side in (near, far)]
        return self._by_sample(step.gradient), parts[0], parts[1]

    def _by_sample(self, array: Array) -> Array:
        return np.array(by_sample(array[None], self.recurrence.batch_axis)[0])

    def _zeros(self, value: Array) -> Array:
        return np.zeros_like(self._by_sample(value))

    def finish(self) -> None:
        """Lend the rest, also the steps that no gradient reached; where there were gradients, they are zero."""
        for t in range(self.recurrence.timesteps):
            if t not in self._seen:
                self._at(t)
        self._lend()

    def _lend(self) -> None:
        times, states, cell = sorted(self._parts), self.recurrence.states, self.recurrence.cell
        if not times:
            return
        nothing = {kind: (self._zeros(self.tape.entry(ids[0]).value),) * 3 for kind, ids in states.items()}
        total, immediate, carried = (
            {kind: np.stack([self._parts[t].get(kind, zeros)[part] for t in times]) for kind, zeros in nothing.items()}
            if self.walked
            else {}
            for part in range(3)
        )
        self._parts.clear()
        values = {
            kind: np.stack([self._by_sample(self.tape.entry(ids[t]).value) for t in times])
            for kind, ids in states.items()
        }
        saturated = None
        if cell is not None and not cell.keeps_gates:  # of a gated cell's operations the gates are not known by name
            saturated = cell.saturated(Past({}, values, np.empty(0), {}, {}, 0, None))
        squashed = [self._squashed(t) for t in times] if cell is None else []
        if squashed and all(one is not None for one in squashed):
            saturated = is_beyond(np.stack([self._by_sample(one.value) for one in squashed if one]), SATURATED)
        steps = np.array(times, np.int64)
        self.take(Window(self.number, steps, values, total, immediate, carried, saturated=saturated))

    def _squashed(self, t: int) -> Node | None:
        """Find the tanh that a state is made of in its step, as `h` itself, the candidate of a GRU, or `tanh(c)`."""
        state = self.tape.entry(next(iter(self.recurrence.states.values()))[t])
        waiting, seen = [state], {state.id}
        for one in waiting:
            if isinstance(one, Node) and one.op is TANH:
                return one
            for i in one.inputs if isinstance(one, Node) and one.op in _ELEMENTWISE else ():
                below = self.tape.entry(i)
                if below.value.shape == state.value.shape and below.id not in self.times and below.id not in seen:
                    seen.add(below.id)
                    waiting.append(below)
        return None
