"""One step of some recurrences backward, for many rows at once: a product with its transposed Jacobian.

In: rows of the states at a timestep. Out: rows of the states before. Blocks are walked for one place; states that are
nodes are walked up to those of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.banding import by_sample, from_samples
from rnngraph.autodiff.block.carry import BAND, Carry
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.autodiff.many import walk_rows
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.sources.tape.inputs import batch_of
from rnngraph.sources.tape.plan import Plan, leading
from rnngraph.trace.magnitudes import Integers

Key: TypeAlias = tuple[int, str]  # a recurrence and a kind of state


class OneStep:
    """A step into a timestep, of the recurrences in `group`, for the chosen samples."""

    def __init__(self, plan: Plan, group: Sequence[int], t: int, samples: Integers) -> None:
        """Find the nodes of the states before; a block has none."""
        self.tape, self.t, self.samples = plan.tape, t, samples
        self.group: dict[int, Recurrence] = {number: plan.tape.recurrences[number] for number in group}
        before = {node: (number, kind) for number in group for kind, node in self._before(number).items()}
        self.before: dict[int, Key] = before
        self.walk = plan.walk({batch_of(plan.tape, one): samples for one in self.group.values()})
        self.walk.until = frozenset(before)
        self.walk.states = {node: self.group[number].batch_axis for node, (number, _) in before.items()}
        self.walk.leads = leading(plan.tape, before) if before else plan.leads
        self.walk.feel_node = self._collect
        self.found: dict[Key, Array] = {}

    def back(self, rows: dict[Key, Array]) -> dict[Key, Array]:
        """Multiply rows (k, samples, units) of the states."""
        starts: dict[int, list[Cotangents]] = {}
        self.found = {key: np.zeros_like(one) for key, one in rows.items()}
        for key, one in rows.items():
            self._enter(starts, key, one)
        with np.errstate(all="ignore"):
            walk_rows(self.walk, starts, len(next(iter(rows.values()))))
        self._read_carries()
        return self.found

    def _before(self, number: int) -> dict[str, int]:
        one = self.group[number]
        earlier = self.t + 1 if one.reverse else self.t - 1
        if one.block is not None:
            return {}
        inside = 0 <= earlier < one.timesteps
        return {kind: ids[earlier] for kind, ids in one.states.items()} if inside else dict(one.initial)

    def _enter(self, starts: dict[int, list[Cotangents]], key: Key, rows: Array) -> None:
        number, kind = key
        one = self.group[number]
        if one.block is None:
            node = one.states[kind][self.t]
            starts[node] = [Cotangents(self._placed(node, one, rows), 0, len(rows))]
            return
        block = one.block
        nothing = Carry.empty(len(rows), len(self.samples), block.widths.values())
        self.walk.carries.setdefault(block.id, nothing).enter(0, rows, kind=one.kinds.index(kind))
        place = block.place_of(self.t)
        self.walk.window = place, place + 1

    def _placed(self, node: int, one: Recurrence, rows: Array) -> Array:
        """Put rows of some samples, (k, samples, units), where the samples of a node's value stand."""
        shape, axis = self.tape.entry(node).value.shape, one.batch_axis
        placed = np.zeros((len(rows), 1 if axis is None else shape[axis], rows.shape[-1]))
        placed[:, self.samples] = rows
        return from_samples(placed, shape, axis)

    def _collect(self, node: int, some: list[Cotangents]) -> None:
        for one in some if node in self.before else ():
            number, kind = self.before[node]
            axis = self.group[number].batch_axis
            moved = by_sample(one.dense(self.tape.entry(node).value.shape), axis)
            lifted = np.ldexp(moved if axis is None else moved[:, self.samples], one.band * BAND)
            self.found[number, kind][one.low : one.low + len(lifted)] += lifted

    def _read_carries(self) -> None:
        for number, one in self.group.items():
            block = one.block
            if block is None or self.walk.carries[block.id].low >= self.walk.carries[block.id].high:
                continue
            carry = self.walk.carries[block.id]
            for kind, state, band in zip(block.columns, carry.states, carry.bands, strict=True):
                bits = None if band is None else (band * BAND).astype(int)[..., None]
                self.found[number, kind] = state if bits is None else np.ldexp(state, bits)
