"""Turn a tape's nodes, those of blocks included, into the columns of a `GraphTrace`.

In: a tape. Out: what makes the columns that hold no numbers, and holds no array of the tape. The nodes of a block are
written by arithmetic, none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.columns import BLOCK, PROJECT
from rnngraph.autodiff.node import Op, Scope
from rnngraph.autodiff.show import part_inputs
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Integers

Shape: TypeAlias = tuple[int, ...]
_Noted: TypeAlias = tuple[Op, Scope, Shape, int, Sequence[int]]  # op, scope, shape, timestep and inputs of a node


class _Steps(NamedTuple):
    """The nodes of a block: those around the steps, one a part, and what differs at the first step."""

    last: int
    steps: int
    reverse: bool
    project: _Noted
    output: _Noted
    parts: list[_Noted]  # of the second step
    start: list[tuple[int, ...]]  # the inputs of the parts of the first step


def structure_of(tape: Tape) -> Callable[[], dict[str, Any]]:
    """Note what the nodes of a tape are; what is given makes all columns of its `GraphTrace` but the numbers."""
    noted = [
        _steps_of(entry)
        if isinstance(entry, Block)
        else (entry.op, entry.place, entry.value.shape, entry.timestep, entry.inputs)
        for entry in tape.entries
    ]
    names = {str(entry.id): str(entry.name) for entry in tape.entries if entry.name}
    return partial(_columns, noted, names, tape.size)


def _steps_of(block: Block) -> _Steps:
    cell, place, (N, T, wide) = block.cell, block.place, (block.sample_count, block.steps, block.gates.shape[-1])
    start, later = ([part_inputs(block, number, p) for number in range(len(cell.facts.parts))] for p in (0, 1))
    widths = [block.columns[part.key].shape[-1] if part.key in block.columns else wide for part in cell.facts.parts]
    return _Steps(
        block.id, T, block.reverse,
        (PROJECT, place, (N, T, wide), -1, [block.sources[name] for name in ("x", "Wx", "b")]),
        (BLOCK, place, block.value.shape, -1, range(block.id)[block.places_of("h")][:: -1 if block.reverse else 1]),
        [(op, place, (N, width), 0, some) for op, width, some in zip(cell.part_ops, widths, later, strict=True)], start,
    )  # fmt: skip


class _Numbers(dict[Hashable, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        return number


def _columns(noted: list[_Noted | _Steps], names: dict[str, str], size: int) -> dict[str, Any]:
    table = np.empty((5, size), np.int64)  # op, scope, shape, timestep and number of inputs of every node
    ops, scopes, shapes = _Numbers(), _Numbers(), _Numbers()
    by_name: dict[str, Op] = {}
    inputs = list[Integers]()

    def write(first: int, nodes: Sequence[_Noted]) -> None:
        rows = []
        for op, place, shape, timestep, some in nodes:
            by_name.setdefault(op.name, op)
            rows.append((ops[op.name], scopes[place], shapes[shape], timestep, len(some)))
        if rows:
            table[:, first : first + len(rows)] = np.array(rows).T

    run, at = list[_Noted](), 0
    for one in noted:
        if isinstance(one, _Steps):
            write(at - len(run), run)
            write(at + 1, one.parts)
            write(at, [one.project])
            write(one.last, [one.output])
            by_step = table[:, at + 1 : one.last].reshape(5, one.steps, len(one.parts))
            by_step[:, 1:] = by_step[:, :1]
            by_step[3] = np.arange(one.steps)[:: -1 if one.reverse else 1, None]
            inputs += [_sources(run), _sources([one.project]), _inputs_of_steps(one, at + 1), _sources([one.output])]
            run, at = [], one.last
        else:
            run.append(one)
        at += 1
    write(at - len(run), run)
    offsets = np.zeros(size + 1, dtype=np.int64)
    op, scope, shape, timestep, counts = table
    np.cumsum(counts, out=offsets[1:])
    found = by_name.values()
    return {
        "ops": tuple(op.name for op in found), "labels": tuple(op.label for op in found),
        "roles": tuple(op.role for op in found), "formulas": tuple(op.formula for op in found),
        "scopes": tuple("/".join(str(key) for _, key in place) for place in scopes),  # type: ignore[attr-defined]
        "shapes": tuple(str(shape) for shape in shapes), "names": names, "op": op, "scope": scope, "shape": shape,
        "timestep": timestep, "inputs": np.concatenate([*inputs, _sources(run)]), "offsets": offsets,
    }  # fmt: skip


def _sources(nodes: Sequence[_Noted]) -> Integers:
    return np.array([source for node in nodes for source in node[4]], np.int64)


def _inputs_of_steps(one: _Steps, first: int) -> Integers:
    """Give the inputs of all parts: those of the second step, moved on from step to step where they are steps' own."""
    flat, count = _sources(one.parts), len(one.parts)
    moves = count * ((flat >= first) & (flat < first + 2 * count))
    found = flat + (np.arange(one.steps)[:, None] - 1) * moves
    found[0] = [source for some in one.start for source in some]
    return found.reshape(-1)
