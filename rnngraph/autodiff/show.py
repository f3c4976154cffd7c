"""The nodes of a block's steps, made for whoever looks: one a part of the cell, with its value and its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.columns import BLOCK, PROJECT
from rnngraph.autodiff.cell import Cell
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.cell import INPUT, PREVIOUS

if TYPE_CHECKING:
    from rnngraph.autodiff.tape import Tape

PROJECTED = ("x", "Wx", "b")  # the sources of a block's projection


def part_inputs(cell: Cell, first: int, sources: Mapping[str, int], *, number: int, place: int) -> tuple[int, ...]:
    """Give the ids of what a part of the step at a place takes: parts, the step before, the projection, weights.

    `first` is that of the block, and `sources` are its own.
    """
    parts = cell.facts.parts
    keys, count = [part.key for part in parts], len(parts)
    start = first + 1 + place * count
    found = []
    for name in parts[number].inputs:
        if name == INPUT:
            found.append(first)
        elif name.startswith(PREVIOUS):
            kind = name.removeprefix(PREVIOUS)
            found.append(start - count + keys.index(kind) if place else sources[kind + "0"])
        else:
            found.append(start + keys.index(name))
    if number == 0:
        found += [i for name, i in sources.items() if name in cell.names and name not in PROJECTED]
    return tuple(found)


def shown_nodes(block: Block, node_ids: Iterable[int]) -> list[Node]:
    """Make the nodes of some ids of a block."""
    ops, keys = block.cell.part_ops, [part.key for part in block.cell.facts.parts]
    found = []
    for node_id in node_ids:
        inputs: tuple[int, ...]
        op, timestep, options = BLOCK, -1, dict[str, Any]()
        if node_id == block.id:
            inputs = tuple(block.node_ids("h").tolist())
            value, options = block.value, {"axis": -2}
        else:
            key, timestep = block.find(node_id)
            if timestep < 0:
                op, inputs, value = PROJECT, tuple(block.sources[name] for name in PROJECTED), _projected(block)
            else:
                number = keys.index(key)
                op, place = ops[number], block.place_of(timestep)
                inputs = part_inputs(block.cell, block.first, block.sources, number=number, place=place)
                value = block.state(key, timestep) if key in block.columns else block.gates[timestep]
        found.append(Node(node_id, op, inputs, value, (), block.place, timestep, True, options))
    return found


def _projected(block: Block) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(block.x.swapaxes(0, 1) @ block.weights["Wx"] + block.weights["b"])


class Nodes(Sequence[Node]):
    """The nodes of a tape by id, as whoever looks sees them."""

    def __init__(self, tape: Tape) -> None:
        """Look at a tape."""
        self._tape = tape

    def __len__(self) -> int:
        """Count them."""
        return self._tape.size

    def __getitem__(self, node_id: Any) -> Any:
        """Give the node of an id."""
        if isinstance(node_id, slice):
            return [self[one] for one in range(*node_id.indices(len(self)))]
        if node_id < 0:
            node_id += len(self)
        if not 0 <= node_id < len(self):
            raise IndexError(f"the tape has {len(self)} nodes and no node {node_id}")
        entry = self._tape.entry(node_id)
        return shown_nodes(entry, (node_id,))[0] if isinstance(entry, Block) else entry

    def __iter__(self) -> Iterator[Node]:
        """Give them in order."""
        for entry in self._tape.entries:
            if isinstance(entry, Block):
                yield from shown_nodes(entry, range(entry.first, entry.id + 1))
            else:
                yield entry
