"""Turn a tape's nodes, those of blocks included, into the columns of a `GraphTrace`.

In: a tape. Out: columns without numbers. The nodes of a block are written by arithmetic, none is made.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.columns import BLOCK, PROJECT
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.show import part_inputs, part_ops
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Integers


class _Numbers(dict[Hashable, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        return number


class _Columns:
    """The columns of a graph under way."""

    def __init__(self, tape: Tape) -> None:
        size = tape.size
        self.op, self.scope, self.shape, self.timestep = (np.empty(size, np.int64) for _ in range(4))
        self.counts = np.zeros(size, np.int64)
        self.inputs: list[Integers] = []
        self.ops, self.scopes, self.shapes = _Numbers(), _Numbers(), _Numbers()
        self.table: dict[str, Op] = {}
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
        self.table.setdefault(op.name, op)
        return self.ops[op.name]

    def _nodes(self, nodes: list[Node]) -> None:
        if not nodes:
            return
        here = slice(nodes[0].id, nodes[-1].id + 1)
        by_id = {id(node.op): node.op for node in nodes}
        ops = {key: self._number(op) for key, op in by_id.items()}
        self.op[here] = [ops[id(node.op)] for node in nodes]
        self.scope[here] = [self.scopes[node.place] for node in nodes]
        self.shape[here] = [self.shapes[node.value.shape] for node in nodes]
        self.timestep[here] = [node.timestep for node in nodes]
        self.counts[here] = [len(node.inputs) for node in nodes]
        self.inputs.append(np.array([source for node in nodes for source in node.inputs], np.int64))

    def _block(self, block: Block) -> None:
        parts, time = block.cell.facts.parts, block.steps
        count, first = len(parts), block.first

        def by_step(column: Integers) -> Integers:
            return column[first + 1 : block.id].reshape(time, count)

        self.scope[first : block.id + 1] = self.scopes[block.place]
        N, widths = block.sample_count, {kind: column.shape[-1] for kind, column in block.columns.items()}
        wide = block.gates.shape[-1]
        self.op[first], self.op[block.id] = self._number(PROJECT), self._number(BLOCK)
        by_step(self.op)[...] = [self._number(op) for op in part_ops(block.cell.facts)]
        self.shape[first], self.shape[block.id] = self.shapes[(N, time, wide)], self.shapes[block.value.shape]
        by_step(self.shape)[...] = [self.shapes[(N, widths.get(part.key, wide))] for part in parts]
        self.timestep[first] = self.timestep[block.id] = -1
        steps = np.arange(time)[:, None]
        by_step(self.timestep)[...] = block.order(steps)
        start, later = ([part_inputs(block, number, place) for number in range(count)] for place in (0, 1))
        self.counts[first], self.counts[block.id] = 3, time
        by_step(self.counts)[...] = [len(one) for one in later]
        flat = np.array([one for some in later for one in some], np.int64)
        moves = count * ((flat > first) & (flat <= first + 2 * count))  # of inputs that move with the step
        inputs = flat + (steps - 1) * moves
        inputs[0] = [one for some in start for one in some]
        project = np.array([block.sources[name] for name in ("x", "Wx", "b")], np.int64)
        self.inputs += [project, inputs.reshape(-1), block.node_ids("h")]


def structure_columns(tape: Tape) -> dict[str, Any]:
    """Give all columns of the `GraphTrace` of a tape but its numbers."""
    columns = _Columns(tape)
    offsets = np.zeros(tape.size + 1, dtype=np.int64)
    np.cumsum(columns.counts, out=offsets[1:])
    ops = [columns.table[str(name)] for name in columns.ops]
    inputs = np.concatenate(columns.inputs) if columns.inputs else np.zeros(0, np.int64)
    return {
        "ops": tuple(op.name for op in ops), "labels": tuple(op.label for op in ops),
        "roles": tuple(op.role for op in ops), "formulas": tuple(op.formula for op in ops),
        "scopes": tuple("/".join(str(key) for _, key in place) for place in columns.scopes),  # type: ignore[attr-defined]
        "shapes": tuple(str(shape) for shape in columns.shapes),
        "names": {str(entry.id): str(entry.name) for entry in tape.entries if entry.name},
        "op": columns.op, "scope": columns.scope, "shape": columns.shape, "timestep": columns.timestep,
        "inputs": inputs, "offsets": offsets,
    }  # fmt: skip
