"""A step between states that are nodes as one matrix a sample, for so many losses that making it pays.

In: a state's node and the rows that reached it. Out: rows at the states from which the step was computed, and at what
entered it. A matrix is made by walking one row a unit back, of all samples at once, since the samples of a recurrence
do not meet within a step; before the first matrix of a state is used, this is held to random rows.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnngraph.autodiff.again import depending
from rnngraph.autodiff.banding import Groups, by_sample, from_samples
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import INDEX
from rnngraph.autodiff.through import through_node

_ROWS = 3  # a unit: of fewer losses the step is walked op by op
_WIDEST = 6  # of a matrix: where a step reads more, such as all states before it, little is saved
_SAME = 1e-9
_BYTES = 200_000_000


class _Matrix(NamedTuple):
    """The exits of a step, and the matrices (N, units, ·) whose columns are those of the exits one after the other."""

    exits: tuple[int, ...]
    ends: tuple[int, ...]
    values: Array


class StepMatrices:
    """The steps of a tape; it remembers what cannot be one matrix."""

    def __init__(self, walk: Walk) -> None:
        """Find the nodes that are or depend on a state."""
        self._inside = {walk.tape.entries[place].id for place in depending(walk.tape, walk.states)}
        self._fine: dict[object, bool] = {}  # by what the same place of every step has in common
        self._kept: dict[int, _Matrix] = {}  # for the next walk, as many as memory allows
        self._room = _BYTES

    def through(self, walk: Walk, node: Node, groups: Groups) -> list[tuple[int, Cotangents]] | None:
        """Give what rows at a state are at the exits of its step; None where they are to be walked op by op."""
        axis, shape = walk.states[node.id], node.value.shape
        batch = 1 if axis is None else shape[axis]
        units = node.value.size // batch
        if sum(len(value) for _, value in groups.values()) < _ROWS * units:
            return None
        key = node.op, shape, node.place, tuple([walk.tape.entry(i).op for i in node.inputs])
        if not self._fine.get(key, True) or not all(np.isfinite(value).all() for _, value in groups.values()):
            return None
        matrix = self._kept.get(node.id) or self._made(walk, node, axis, (batch, units))
        if matrix is not None and node.id not in self._kept and self._room >= matrix.values.nbytes:
            self._kept[node.id], self._room = matrix, self._room - matrix.values.nbytes
        if key not in self._fine:
            self._fine[key] = matrix is not None and self._holds(walk, node, axis, matrix)
        if matrix is None or not self._fine[key]:
            return None
        walk.underflow.happened = False
        found = []
        for band, (low, value) in groups.items():
            out = np.matmul(by_sample(value, axis).swapaxes(0, 1), matrix.values).swapaxes(0, 1)
            for source, (start, stop) in zip(matrix.exits, pairwise((0, *matrix.ends)), strict=True):
                rows = from_samples(out[:, :, start:stop], walk.tape.entry(source).value.shape, axis)
                found.append((source, Cotangents(rows, low, len(rows), band, by=node.id)))
        return None if walk.underflow.happened else found

    def _made(self, walk: Walk, node: Node, axis: int | None, size: tuple[int, int]) -> _Matrix | None:
        batch, units = size
        rows = np.repeat(np.eye(units)[:, None], batch, axis=1)
        exits = self._exits(walk, node, from_samples(rows, node.value.shape, axis))
        if not exits:
            return None
        for i in exits:
            shape = walk.tape.entry(i).value.shape
            if axis is not None and (len(shape) <= axis or shape[axis] != batch):
                return None
        parts = [by_sample(value, axis) for value in exits.values()]
        ends = np.cumsum([part.shape[-1] for part in parts]).tolist()
        values = np.ascontiguousarray(np.concatenate(parts, axis=-1).swapaxes(0, 1))
        if ends[-1] > _WIDEST * units or not np.isfinite(values).all():
            return None
        return _Matrix(tuple(exits), tuple(ends), values)

    def _exits(self, walk: Walk, node: Node, value: Array) -> dict[int, Array] | None:
        """Walk rows back to the exits of a step; None where something is passed that a matrix cannot stand for."""
        pending: dict[int, Array] = {}
        order, found = list[int](), dict[int, Array]()
        while True:
            for source, one in through_node(walk, node, {0: (0, value)}):
                if one.band or one.narrow:
                    return None
                part = one.dense(walk.tape.entry(source).value.shape)
                if source in pending:
                    part = part + pending[source]
                else:
                    heappush(order, -source)
                pending[source] = part
            while order:
                entry = walk.tape.entry(-order[0])
                value = pending.pop(-heappop(order))
                if not isinstance(entry, Node) or entry.id in walk.narrow:
                    return None
                if not self._is_exit(walk, entry):
                    node = entry
                    break
                found[entry.id] = value
            else:
                return found

    def _is_exit(self, walk: Walk, node: Node) -> bool:
        if node.id in walk.states or node.id in walk.fed:
            return True
        return node.id not in self._inside and (node.op is INDEX or node.op.vjp is None)

    def _holds(self, walk: Walk, node: Node, axis: int | None, matrix: _Matrix) -> bool:
        """Whether rows that differ from sample to sample reach the exits as the matrix says."""
        value = np.random.default_rng(0).normal(size=(2, *node.value.shape))
        exits = self._exits(walk, node, value)
        if exits is None or tuple(exits) != matrix.exits:
            return False
        out = np.matmul(by_sample(value, axis).swapaxes(0, 1), matrix.values).swapaxes(0, 1)
        wanted = np.concatenate([by_sample(one, axis) for one in exits.values()], axis=-1)
        return bool(np.abs(out - wanted).max() <= _SAME * np.abs(wanted).max())
