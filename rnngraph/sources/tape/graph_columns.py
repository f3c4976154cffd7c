"""Turn a tape's nodes, those of blocks included, into the columns of a `GraphTrace`.

In: a tape and the gradients at its nodes. Out: what makes the columns, and holds no array of the tape. The nodes of a
block are written by arithmetic, none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.columns import BLOCK, PROJECT
from rnngraph.autodiff.cell import Cell
from rnngraph.autodiff.node import Op, Scope
from rnngraph.autodiff.show import PROJECTED, part_inputs
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import Facts
from rnngraph.norms import norm
from rnngraph.trace.magnitudes import Floats, Integers, Magnitudes

Shape: TypeAlias = tuple[int, ...]
# Of a node: op, scope, shape, timestep and inputs.
_Noted: TypeAlias = tuple[Op, Scope, Shape, int, Sequence[int] | Integers]


class _Steps(NamedTuple):
    """What a block is, without its numbers."""

    first: int
    last: int
    cell: Cell
    sources: dict[str, int]
    place: Scope
    shape: Shape  # of the projection
    output: Shape
    widths: dict[str, int]  # of the states
    reverse: bool


def noted_graph(
    tape: Tape, all_facts: Sequence[Facts], states: Mapping[str, Magnitudes], *, norms: Floats, walked: bool
) -> Callable[[], dict[str, Any]]:
    """Note what the nodes of a tape are, and the gradients that reached them; what is given makes the columns."""
    noted: list[_Noted | _Steps] = [
        _Steps(
            entry.first, entry.id, entry.cell, entry.sources, entry.place,
            (entry.sample_count, entry.steps, entry.gates.shape[-1]), entry.value.shape, entry.widths, entry.reverse,
        )
        if isinstance(entry, Block)
        else (entry.op, entry.place, entry.value.shape, entry.timestep, entry.inputs)
        for entry in tape.entries
    ]  # fmt: skip
    names = {str(entry.id): str(entry.name) for entry in tape.entries if entry.name}
    known = [(facts.nodes[kind], states[name]) for facts in all_facts for kind, name in facts.states.items()]
    outputs = {
        one.block.id: states[facts.states["h"]]
        for one, facts in zip(tape.recurrences, all_facts, strict=True)
        if one.block is not None
    }

    def made() -> dict[str, Any]:
        for nodes, state in known:
            norms[nodes] = state.value
        for block, state in outputs.items():
            norms[block] = norm(state.value)
        grad = Magnitudes.of(norms) if walked else Magnitudes.unobserved(norms.shape)
        for nodes, state in known:
            grad.status[nodes] = state.status
        return _structure(noted, names, len(norms)) | {"grad": grad}

    return made


class _Numbers(dict[Hashable, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        return number


class _Columns:
    """The columns of a graph under way; `table` holds op, scope, shape, timestep and number of inputs of every node."""

    def __init__(self, noted: list[_Noted | _Steps], size: int) -> None:
        self.table = np.empty((5, size), np.int64)
        self.inputs: list[Integers] = []
        self.ops, self.scopes, self.shapes = _Numbers(), _Numbers(), _Numbers()
        self.ops_by_name: dict[str, Op] = {}
        run: list[_Noted] = []
        for one in noted:
            if isinstance(one, _Steps):
                self._nodes(one.first - len(run), run)
                self._block(one)
                run = []
            else:
                run.append(one)
        self._nodes(size - len(run), run)

    def _write(self, first: int, nodes: Sequence[_Noted]) -> None:
        rows = []
        for op, place, shape, timestep, some in nodes:
            self.ops_by_name.setdefault(op.name, op)
            rows.append((self.ops[op.name], self.scopes[place], self.shapes[shape], timestep, len(some)))
        self.table[:, first : first + len(rows)] = np.array(rows).T

    def _nodes(self, first: int, nodes: list[_Noted]) -> None:
        if nodes:
            self._write(first, nodes)
            self.inputs.append(np.array([source for node in nodes for source in node[4]], np.int64))

    def _block(self, one: _Steps) -> None:
        (N, T, wide), parts, ids = one.shape, one.cell.facts.parts, range(one.first + 1, one.last)
        count, back = len(parts), -1 if one.reverse else 1
        start, later = (
            [part_inputs(one.cell, one.first, one.sources, number=k, place=place) for k in range(count)]
            for place in (0, 1)
        )
        hidden = np.arange(ids.start, ids.stop)[[part.key for part in parts].index("h") :: count][::back]
        project = [one.sources[name] for name in PROJECTED]
        shapes = [(N, one.widths.get(part.key, wide)) for part in parts]
        rows = zip(one.cell.part_ops, shapes, later, strict=True)
        self._write(ids.start, [(op, one.place, shape, 0, some) for op, shape, some in rows])
        self._write(one.first, [(PROJECT, one.place, one.shape, -1, project)])
        self._write(one.last, [(BLOCK, one.place, one.output, -1, hidden)])
        by_step = self.table[:, ids.start : ids.stop].reshape(5, T, count)
        by_step[:, 1:] = by_step[:, :1]
        by_step[3] = np.arange(T)[::back, None]
        flat = np.array([source for some in later for source in some], np.int64)
        moves = count * ((flat >= ids.start) & (flat < ids.start + 2 * count))  # of inputs that move with the step
        inputs = flat + (np.arange(T)[:, None] - 1) * moves
        inputs[0] = [source for some in start for source in some]
        self.inputs += [np.array(project, np.int64), inputs.reshape(-1), hidden]


def _structure(noted: list[_Noted | _Steps], names: dict[str, str], size: int) -> dict[str, Any]:
    columns = _Columns(noted, size)
    offsets = np.zeros(size + 1, dtype=np.int64)
    op, scope, shape, timestep, counts = columns.table
    np.cumsum(counts, out=offsets[1:])
    ops = columns.ops_by_name.values()
    inputs = np.concatenate([np.zeros(0, np.int64), *columns.inputs])
    return {
        "ops": tuple(op.name for op in ops), "labels": tuple(op.label for op in ops),
        "roles": tuple(op.role for op in ops), "formulas": tuple(op.formula for op in ops),
        "scopes": tuple("/".join(str(key) for _, key in place) for place in columns.scopes),  # type: ignore[attr-defined]
        "shapes": tuple(str(shape) for shape in columns.shapes), "names": names,
        "op": op, "scope": scope, "shape": shape, "timestep": timestep, "inputs": inputs, "offsets": offsets,
    }  # fmt: skip
