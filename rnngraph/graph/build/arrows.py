"""Draw the arrows between the vertices: forward ones between and inside steps, and the walk back in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnngraph.graph.build.rows import RowSource
from rnngraph.graph.build.tracks import Track, is_observed, walked
from rnngraph.graph.model import Column, Edge, EdgeKind, Vertex
from rnngraph.graph.summary import Summary, at_column, summarise, summarise_plain
from rnngraph.trace.cell import INPUT, PREVIOUS
from rnngraph.trace.model import StateTrace

VerticesAt = dict[tuple[int, int], tuple[Vertex, ...]]  # by (row, column); row -1 holds a fold, which spans all rows


def connect(
    at: VerticesAt, rows: tuple[RowSource, ...], columns: tuple[Column, ...]
) -> tuple[tuple[Vertex, ...], tuple[Edge, ...]]:
    """Return all vertices, with the marks of cut recurrences, and all edges."""
    vertices = [vertex for found in at.values() for vertex in found]
    edges: list[Edge] = []
    for number, column in enumerate(columns):
        if column.kind in {"step", "loop"}:
            edges.extend(_upward(at, rows, number))
    for row, source in enumerate(rows):
        if source.track is None:
            continue
        for state in source.track.states.values():
            walk = _Walk(at, row, source.track, state, columns)
            edges.extend(walk.recurrent())
            for edge, mark in walk.backward():
                edges.append(edge)
                vertices.extend(mark)
    return tuple(vertices), tuple(edges)


def _edge(kind: EdgeKind, source: Vertex, target: Vertex, state: str = "") -> Edge:
    return Edge(f"{kind[0]}_{source.id}_{target.id}", kind, source.id, target.id, state)


def _upward(at: VerticesAt, rows: tuple[RowSource, ...], number: int) -> Iterator[Edge]:
    for row, source in enumerate(rows):
        here = at.get((row, number), ())
        by_key = {vertex.key: vertex for vertex in here if vertex.key and vertex.kind != "initial"}
        below = [found for one in source.inputs if (found := _output(at.get((one, number), ()), rows[one].track))]
        for vertex in here:
            for key in vertex.inputs:
                if key in by_key:
                    yield _edge("forward", by_key[key], vertex)
            if INPUT in vertex.inputs or source.track is None:
                for one in below:
                    yield _edge("forward", one, vertex)


def _output(found: tuple[Vertex, ...], track: Track | None) -> Vertex | None:
    """Return the vertex whose value leaves a row: the main state of a recurrent layer."""
    steps = [vertex for vertex in found if vertex.kind != "initial"]
    main = next((vertex for vertex in steps if track is not None and vertex.key == track.main), None)
    return main or (steps[-1] if steps else None)


@dataclass(frozen=True, slots=True)
class _Walk:
    """One state of one layer along the columns, in the order in which the recurrence runs."""

    at: VerticesAt
    row: int
    track: Track
    state: StateTrace
    columns: tuple[Column, ...]

    def recurrent(self) -> Iterator[Edge]:
        wanted = PREVIOUS + self.state.kind
        for before, number in self._neighbours():
            source, fold = self._box(before), self._fold(number)
            here = self.at.get((self.row, number), ())
            for target in [fold] if fold else [vertex for vertex in here if wanted in vertex.inputs]:
                if source is not None:
                    yield _edge("recurrent", source, target, self.state.name)

    def backward(self) -> Iterator[tuple[Edge, tuple[Vertex, ...]]]:
        name = self.state.name
        for before, number in self._neighbours():
            source, target = self._box(number), self._box(before)
            if source is None or target is None:
                continue
            if self._is_cut(before, number):
                mark = Vertex(f"cut_{source.id}_{self.state.kind}", "cut", "cut", self.row, number, state=name)
                edge = _edge("backward", source, mark, name)
                yield Edge(edge.id, "backward", source.id, mark.id, name, unreached=target.id), (mark,)
            else:
                edge = _edge("backward", source, target, name)
                yield Edge(edge.id, "backward", source.id, target.id, name, *self._carried(before, number)), ()

    def _neighbours(self) -> Iterator[tuple[int, int]]:
        """Give the columns that the recurrence goes through (earlier, later); a loop is its own neighbour."""
        own = [number for number in range(len(self.columns)) if self._starts(number) or self._steps(number).ranges]
        yield from pairwise(own[:: -1 if self.track.reverse else 1])
        yield from ((number, number) for number in own if self.columns[number].kind == "loop")

    def _steps(self, number: int) -> Column:
        return self.track.within(self.columns[number])

    def _starts(self, number: int) -> bool:
        return is_observed(self.state) and self.track.starts_in(self.columns[number], first=number == 0)

    def _fold(self, number: int) -> Vertex | None:
        return next(iter(self.at.get((-1, number), ())), None)

    def _box(self, number: int) -> Vertex | None:
        own = (one for one in self.at.get((self.row, number), ()) if one.key == self.state.kind)
        return self._fold(number) or next(own, None)

    def _step(self, number: int, *, leaving: bool) -> int:
        """Return the timestep at which the recurrence leaves or enters a column."""
        column = self._steps(number)
        return column.last if leaving != self.track.reverse else column.first

    def _is_cut(self, before: int, number: int) -> bool:
        return before != number and bool(self.state.cut[self._step(number, leaving=False)])

    def _carried(self, before: int, number: int) -> tuple[Summary | None, Summary | None]:
        state, column = self.state, self._steps(before)
        if not column.ranges:  # the initial state, also where it stands behind the end of a reverse recurrence
            return summarise(state.initial), self._first_gain(self._step(number, leaving=False))
        if column.kind == "loop":
            column = walked(self.track, column)
            return at_column(state.carried, column), summarise_plain(state.gain, column.index)
        step = self._step(before, leaving=True)
        return summarise(state.carried, step), summarise_plain(state.gain, step)

    def _first_gain(self, step: int) -> Summary | None:
        """Return the gain over the first step; the trace has one only between two steps."""
        initial, grad = summarise(self.state.initial), summarise(self.state.grad, step)
        if not grad.high > 0 or not initial.high > 0:
            return None
        return summarise_plain(np.array([initial.high / grad.high]))
