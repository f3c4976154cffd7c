"""One step of some recurrences backward, for many rows at once: a product with its transposed Jacobian.

In: rows of the states at a timestep. Out: rows of the states before. Blocks are walked for one place; states that are
nodes are walked up to those of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.banding import by_sample, from_samples
from rnngraph.autodiff.block.carry import BAND, Carry
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.many import walk_rows
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.sources.tape.inputs import batch_of
from rnngraph.sources.tape.plan import Plan
from rnngraph.trace.magnitudes import Integers

Key: TypeAlias = tuple[int, str]  # a recurrence and a kind of state


@dataclass(slots=True)
class OneStep:
    """A step into a timestep, of the recurrences in `group`, for the chosen samples."""

    plan: Plan
    group: Sequence[int]
    t: int
    samples: Integers
    starts: dict[int, list[Cotangents]] = field(default_factory=dict)
    found: dict[Key, Array] = field(default_factory=dict)

    def back(self, rows: dict[Key, Array]) -> dict[Key, Array]:
        """Multiply rows (k, samples, units) of the states."""
        walk = self.plan.walk(
            {batch_of(self.plan.tape, self._recurrence(number)): self.samples for number in self.group}
        )
        for key, one in rows.items():
            self._enter(walk, key, one)
        before = {node: (number, kind) for number in self.group for kind, node in self._before(number).items()}
        walk.until = frozenset(before)
        walk.states = {node: self._recurrence(number).batch_axis for node, (number, _) in before.items()}
        walk.leads = self._between(before) if before else self.plan.leads

        def collect(entry: int, some: list[Cotangents]) -> None:
            for one in some if entry in before else ():
                self._add(before[entry], entry, one, len(next(iter(rows.values()))))

        walk.feel_node = collect
        with np.errstate(all="ignore"):
            walk_rows(walk, self.starts, len(next(iter(rows.values()))))
        self._read_carries(walk)
        return {key: self.found.get(key, np.zeros_like(one)) for key, one in rows.items()}

    def _recurrence(self, number: int) -> Recurrence:
        return self.plan.tape.recurrences[number]

    def _enter(self, walk: Walk, key: Key, rows: Array) -> None:
        number, kind = key
        one = self._recurrence(number)
        if one.block is None:
            node = one.states[kind][self.t]
            self.starts[node] = [Cotangents(self._placed(node, one, rows), 0, len(rows))]
            return
        block = one.block
        nothing = Carry.empty(len(rows), len(self.samples), block.widths.values())
        carry = walk.carries.setdefault(block.id, nothing)
        carry.enter(0, rows, kind=one.kinds.index(kind))
        place = block.place_of(self.t)
        walk.window = place, place + 1

    def _before(self, number: int) -> dict[str, int]:
        """Give the nodes of the states before, none for a block."""
        one = self._recurrence(number)
        earlier = self.t + 1 if one.reverse else self.t - 1
        if one.block is not None:
            return {}
        inside = 0 <= earlier < one.timesteps
        return {kind: ids[earlier] for kind, ids in one.states.items()} if inside else dict(one.initial)

    def _between(self, before: dict[int, Key]) -> frozenset[int]:
        leads: set[int] = set()
        for entry in self.plan.tape.entries:
            if entry.requires and (entry.id in before or not leads.isdisjoint(entry.inputs)):
                leads.add(entry.id)
        return frozenset(leads)

    def _placed(self, node: int, one: Recurrence, rows: Array) -> Array:
        """Put rows of some samples, (k, samples, units), where the samples of a node's value stand."""
        shape, axis = self.plan.tape.entry(node).value.shape, one.batch_axis
        placed = np.zeros((len(rows), 1 if axis is None else shape[axis], rows.shape[-1]))
        placed[:, self.samples] = rows
        return from_samples(placed, shape, axis)

    def _add(self, key: Key, node: int, one: Cotangents, count: int) -> None:
        axis = self._recurrence(key[0]).batch_axis
        moved = by_sample(one.dense(self.plan.tape.entry(node).value.shape), axis)
        lifted = np.ldexp(moved if axis is None else moved[:, self.samples], one.band * BAND)
        total = self.found.setdefault(key, np.zeros((count, *lifted.shape[1:])))
        total[one.low : one.low + len(lifted)] += lifted

    def _read_carries(self, walk: Walk) -> None:
        for number in self.group:
            block = self._recurrence(number).block
            if block is None or walk.carries[block.id].low >= walk.carries[block.id].high:
                continue
            carry = walk.carries[block.id]
            for kind, state, band in zip(block.columns, carry.states, carry.bands, strict=True):
                bits = None if band is None else (band * BAND).astype(int)[..., None]
                self.found[number, kind] = state if bits is None else np.ldexp(state, bits)
