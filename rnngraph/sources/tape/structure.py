"""What a tape is without its numbers: clocks, inputs, ids, and the columns of its graph.

In: a tape. Out: its `Structure`. A training records the same pass at every step, so the last few are kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.facts import describe
from rnngraph.sources.tape.graph_columns import structure_columns
from rnngraph.sources.tape.inputs import fed_inputs, inputs_of, readers_names

_LARGEST_KEPT, _MOST_ENTRIES, _MOST_KEPT = 20_000, 64, 4  # nodes and entries of a tape that is kept; how many are
_KEPT: dict[Hashable, Structure] = {}


class Structure:
    """What passes of one network share; its arrays cannot be written to."""

    def __init__(self, tape: Tape) -> None:
        """Look at a tape, which is not held."""
        self.model = tape.model or describe(tape)
        self.clocks = Clocks(tape)
        self.inputs = inputs_of(tape)
        self.fed = fed_inputs(tape, self.inputs)
        self.names = readers_names(tape, self.fed)
        self.nodes = [{kind: _shared(one.node_ids(kind)) for kind in one.kinds} for one in tape.recurrences]
        self._graph: dict[str, Any] = {}

    def graph(self, tape: Tape) -> dict[str, Any]:
        """Give the columns of a `GraphTrace`, but for the numbers, of a tape that has this structure."""
        if not self._graph:
            self._graph = {name: _shared(column) for name, column in structure_columns(tape).items()}
        return {**self._graph, "names": dict(self._graph["names"])}


def structure_of(tape: Tape) -> Structure:
    """Give the structure of a tape."""
    if tape.size > _LARGEST_KEPT or len(tape.entries) > _MOST_ENTRIES:
        return Structure(tape)
    key = (tape.model, *[_key(entry) for entry in tape.entries], *[_recurrence_key(one) for one in tape.recurrences])
    known = _KEPT.get(key)
    if known is None:
        known = Structure(tape)
        while len(_KEPT) >= _MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT), ()), None)
        _KEPT[key] = known
    return known


def _shared(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        column.flags.writeable = False
    return column


def _key(entry: Node | Block) -> Hashable:
    if isinstance(entry, Block):
        widths = tuple([column.shape[-1] for column in entry.columns.values()])
        return (
            entry.cell, entry.first, entry.x.shape, widths, entry.gates.shape[-1], entry.reverse,
            entry.place, tuple(entry.sources.items()),
        )  # fmt: skip
    return entry.op, entry.inputs, entry.value.shape, entry.value.dtype.kind, entry.place, entry.timestep, entry.name


def _recurrence_key(one: Recurrence) -> Hashable:
    nodes = tuple([(key, *ids) for key, ids in (*one.states.items(), *one.fed.items())])
    return (
        one.stem, one.layer, one.direction, one.cell, one.facts.kinds, one.source, one.output, one.batch_axis,
        one.fed_name, nodes, tuple(one.initial.values()),
    )  # fmt: skip
