"""Turn a tape's nodes, those of blocks included, into the columns of a `GraphTrace`.

In: a tape. Out: columns without numbers. The nodes of a block are written by arithmetic, none is made.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.columns import BLOCK, PROJECT
from rnngraph.autodiff.node import Node, Op, Scope
from rnngraph.autodiff.show import part_inputs
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Integers


class _Numbers(dict[Hashable, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        return number


class _Columns:
    """The columns of a graph under way; `table` holds op, scope, shape, timestep and number of inputs of every node."""

    def __init__(self, tape: Tape) -> None:
        self.table = np.empty((5, tape.size), np.int64)
        self.inputs: list[Integers] = []
        self.ops, self.scopes, self.shapes = _Numbers(), _Numbers(), _Numbers()
        self.ops_by_name: dict[str, Op] = {}
        run: list[Node] = []
        for entry in tape.entries:
            if isinstance(entry, Block):
                self._nodes(run)
                self._block(entry)
                run = []
            else:
                run.append(entry)
        self._nodes(run)

    def _number(self, op: Op) -> int:
        self.ops_by_name.setdefault(op.name, op)
        return self.ops[op.name]

    def _row(self, op: Op, place: Scope, shape: tuple[int, ...], timestep: int, inputs: int) -> tuple[int, ...]:
        return self._number(op), self.scopes[place], self.shapes[shape], timestep, inputs

    def _nodes(self, nodes: list[Node]) -> None:
        if nodes:
            rows = [self._row(one.op, one.place, one.value.shape, one.timestep, len(one.inputs)) for one in nodes]
            self.table[:, nodes[0].id : nodes[-1].id + 1] = np.array(rows).T
            self.inputs.append(np.array([source for node in nodes for source in node.inputs], np.int64))

    def _block(self, block: Block) -> None:
        facts, time, first = block.cell.facts, block.steps, block.first
        count, steps = len(facts.parts), np.arange(time)
        start, later = ([part_inputs(block, number, place) for number in range(count)] for place in (0, 1))
        N, wide = block.sample_count, block.gates.shape[-1]
        widths = [block.columns[part.key].shape[-1] if part.key in block.columns else wide for part in facts.parts]
        rows = [
            self._row(op, block.place, (N, width), 0, len(some))
            for op, width, some in zip(block.cell.part_ops, widths, later, strict=True)
        ]
        by_step = self.table[:, first + 1 : block.id].reshape(5, time, count)
        by_step[...] = np.array(rows).T[:, None]
        by_step[3] = block.order(steps)[:, None]
        self.table[:, first] = self._row(PROJECT, block.place, (N, time, wide), -1, 3)
        self.table[:, block.id] = self._row(BLOCK, block.place, block.value.shape, -1, time)
        flat = np.array([one for some in later for one in some], np.int64)
        moves = count * ((flat > first) & (flat <= first + 2 * count))  # of inputs that move with the step
        inputs = flat + (steps[:, None] - 1) * moves
        inputs[0] = [one for some in start for one in some]
        project = np.array([block.sources[name] for name in ("x", "Wx", "b")], np.int64)
        self.inputs += [project, inputs.reshape(-1), block.node_ids("h")]


def structure_columns(tape: Tape) -> dict[str, Any]:
    """Give all columns of the `GraphTrace` of a tape but its numbers."""
    columns = _Columns(tape)
    offsets = np.zeros(tape.size + 1, dtype=np.int64)
    op, scope, shape, timestep, counts = columns.table
    np.cumsum(counts, out=offsets[1:])
    ops = columns.ops_by_name.values()
    inputs = np.concatenate(columns.inputs) if columns.inputs else np.zeros(0, np.int64)
    return {
        "ops": tuple(op.name for op in ops), "labels": tuple(op.label for op in ops),
        "roles": tuple(op.role for op in ops), "formulas": tuple(op.formula for op in ops),
        "scopes": tuple("/".join(str(key) for _, key in place) for place in columns.scopes),  # type: ignore[attr-defined]
        "shapes": tuple(str(shape) for shape in columns.shapes),
        "names": {str(entry.id): str(entry.name) for entry in tape.entries if entry.name},
        "op": op, "scope": scope, "shape": shape, "timestep": timestep, "inputs": inputs, "offsets": offsets,
    }  # fmt: skip
