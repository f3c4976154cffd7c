"""Draw the arrows between the vertices: forward ones between and inside steps, and the walk back in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnngraph.graph.bands import column_index, column_measure, walked
from rnngraph.graph.cells import INPUT, PREVIOUS
from rnngraph.graph.measure import Measure, measure, measure_plain
from rnngraph.graph.model import Column, Edge, EdgeKind, Vertex
from rnngraph.graph.rows import Lane
from rnngraph.graph.tracks import Track
from rnngraph.trace.model import StateTrace


@dataclass(frozen=True, slots=True)
class Cell:
    """A vertex with its key inside its row and column, and the keys of what it takes."""

    vertex: Vertex
    key: str = ""
    inputs: tuple[str, ...] = ()


Cells = dict[tuple[int, int], tuple[Cell, ...]]  # by (row, column); row -1 holds a fold, which spans all rows


def connect(
    cells: Cells, lanes: tuple[Lane, ...], columns: tuple[Column, ...]
) -> tuple[tuple[Vertex, ...], tuple[Edge, ...]]:
    """Return all vertices, with the marks of cut recurrences, and all edges."""
    vertices = [cell.vertex for found in cells.values() for cell in found]
    edges: list[Edge] = []
    for number, column in enumerate(columns):
        if column.kind in {"step", "loop"}:
            edges.extend(_upward(cells, lanes, number))
    for row, lane in enumerate(lanes):
        if lane.track is None:
            continue
        for kind, state in lane.track.states.items():
            walk = _Walk(cells, row, lane.track, kind, state, columns)
            edges.extend(walk.recurrent())
            for edge, mark in walk.backward():
                edges.append(edge)
                vertices.extend(mark)
    return tuple(vertices), tuple(edges)


def _edge(kind: EdgeKind, source: Vertex, target: Vertex, state: str = "") -> Edge:
    return Edge(f"{kind[0]}_{source.id}_{target.id}", kind, source.id, target.id, state)


def _upward(cells: Cells, lanes: tuple[Lane, ...], number: int) -> Iterator[Edge]:
    for row, lane in enumerate(lanes):
        here = cells.get((row, number), ())
        by_key = {cell.key: cell.vertex for cell in here}
        below = [found for source in lane.inputs if (found := _output(cells.get((source, number), ())))]
        for cell in here:
            for key in cell.inputs:
                if key in by_key:
                    yield _edge("forward", by_key[key], cell.vertex)
            if INPUT in cell.inputs or lane.track is None:
                for source in below:
                    yield _edge("forward", source, cell.vertex)


def _output(found: tuple[Cell, ...]) -> Vertex | None:
    """Return the vertex whose value leaves a row: the state h of a recurrent layer."""
    return next((cell.vertex for cell in found if cell.key == "h"), found[-1].vertex if found else None)


@dataclass(frozen=True, slots=True)
class _Walk:
    """One state of one layer along the columns, in the order in which the recurrence runs."""

    cells: Cells
    row: int
    track: Track
    kind: str
    state: StateTrace
    columns: tuple[Column, ...]

    def recurrent(self) -> Iterator[Edge]:
        wanted = PREVIOUS + self.kind
        for before, number in self._pairs():
            source = self._state(before)
            if source is None:
                continue
            fold = self._fold(number)
            takers = [fold] if fold else [cell.vertex for cell in self._cells(number) if wanted in cell.inputs]
            for target in takers:
                yield _edge("recurrent", source, target, self.state.name)

    def backward(self) -> Iterator[tuple[Edge, tuple[Vertex, ...]]]:
        for before, number in self._pairs():
            source, target = self._state(number), self._state(before)
            if source is None or target is None:
                continue
            if self._is_cut(before, number):
                mark = Vertex(f"cut_{source.id}_{self.kind}", "cut", "cut", self.row, number, state=self.state.name)
                edge = _edge("backward", source, mark, self.state.name)
                yield (
                    Edge(edge.id, "backward", source.id, mark.id, self.state.name, unreached=target.id),
                    (mark,),
                )
            else:
                edge = _edge("backward", source, target, self.state.name)
                carried, gain = self._carried(before, number)
                yield Edge(edge.id, "backward", source.id, target.id, self.state.name, carried, gain), ()

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Give neighbours (earlier, later) in the order of processing; a loop is its own neighbour."""
        order = range(len(self.columns))[:: -1 if self.track.reverse else 1]
        # The initial states of the other direction stand at the far end and are nobody's neighbour.
        yield from ((a, b) for a, b in pairwise(order) if self.columns[b].kind != "initial")
        yield from ((number, number) for number in order if self.columns[number].kind == "loop")

    def _cells(self, number: int) -> tuple[Cell, ...]:
        return self.cells.get((self.row, number), ())

    def _fold(self, number: int) -> Vertex | None:
        found = self.cells.get((-1, number))
        return found[0].vertex if found else None

    def _state(self, number: int) -> Vertex | None:
        own = (cell.vertex for cell in self._cells(number) if cell.key == self.kind)
        return self._fold(number) or next(own, None)

    def _step(self, number: int, *, leaving: bool) -> int:
        """Return the timestep at which the recurrence leaves or enters a column."""
        column = self.columns[number]
        return column.last if leaving != self.track.reverse else column.first

    def _is_cut(self, before: int, number: int) -> bool:
        if self.columns[number].kind == "loop" and before == number:
            return False
        return bool(self.state.cut[self._step(number, leaving=False)])

    def _carried(self, before: int, number: int) -> tuple[Measure | None, Measure | None]:
        column = self.columns[before]
        if column.kind == "initial":
            return measure(self.state.initial), self._first_gain(self._step(number, leaving=False))
        if column.kind == "loop":
            column = walked(self.state, column)
            return column_measure(self.state.carried, column), measure_plain(self.state.gain, column_index(column))
        step = self._step(before, leaving=True)
        return measure(self.state.carried, step), measure_plain(self.state.gain, step)

    def _first_gain(self, step: int) -> Measure | None:
        """Return the gain over the first step; the trace has one only between two steps."""
        initial, grad = measure(self.state.initial), measure(self.state.grad, step)
        if not grad.high > 0 or not initial.high > 0:
            return None
        return measure_plain(np.array([initial.high / grad.high]))
