"""The edges of a graph that is seen from one loss: forward, and back where the credit goes.

In: what is seen, the columns and the boxes. Out: edges, and the boxes of initial states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.diagnosis.sentences import factor_text, percent
from rnngraph.graph.model import Column, Edge, EdgeKind, Vertex
from rnngraph.graph.one_loss.view import Seen, SeenRow
from rnngraph.graph.style.left import MARK
from rnngraph.graph.summary import summarise_plain


def level(seen: Seen, number: int) -> int:
    """Give the row of the graph, which counts from below, of a row of the picture; that of the losses is -1."""
    return len(seen.rows) - number


def begins(seen: Seen, row: SeenRow) -> bool:
    """Whether the initial state of a row is drawn: at the ends of the axis, and where no encoder gives it."""
    at_end = row.segment is (seen.segments[0] if row.way == "left" else seen.segments[-1])
    return at_end and not math.isnan(row.initial)


def holds(seen: Seen, row: SeenRow, column: Column) -> bool:
    """Whether a row has a box, or a part of a fold, in a column; the column's steps are then the row's own."""
    inside = bool(column.ranges) and seen.segments[column.segment] is row.segment
    return inside and column.first < row.recurrence.timesteps


def is_here(seen: Seen, column: Column) -> bool:
    """Whether a step is that of the loss."""
    return seen.segments[column.segment].start + column.first == seen.position


@dataclass
class Ways:
    """Draws the edges between boxes, which it finds by their ids."""

    seen: Seen
    columns: Sequence[Column]
    vertices: dict[str, Vertex]
    edges: list[Edge] = field(default_factory=list)

    def along(self, number: int, row: SeenRow) -> None:
        """Draw the arrows along one row: forward in its direction, and back where the credit goes."""
        order = [place for place, column in enumerate(self.columns) if holds(self.seen, row, column)]
        if row.way == "right":
            order.reverse()  # as the recurrence runs
        for before, after in pairwise(order):
            self._join(number, row, self._box(number, before), self._box(number, after))
        for after, before in pairwise(order[::-1]):
            self._back(number, row, after, before)
        side, height = 0 if row.way == "left" else len(self.columns) - 1, level(self.seen, number)
        if self.columns[side].kind == "initial" and begins(self.seen, row) and order:
            start = Vertex(
                f"n{side}_{height}", "initial", f"{row.kind or 'h'}0", height, side, row.kind,
                state=row.states[0], share=row.initial,
                note=f"the initial state of {row.name}: {percent(row.initial)} of this loss's gradient is left",
            )  # fmt: skip
            self.vertices[start.id] = start
            box = self._box(number, order[0])
            self._join(number, row, start.id, box)
            if row.initial > -math.inf and row.reached[self._end(row, order[0], leaving=True)]:
                self._join(number, row, box, start.id, kind="backward", share=row.initial)

    def _join(self, number: int, row: SeenRow, one: str, other: str, kind: EdgeKind = "recurrent", **more: Any) -> None:
        identity, height = f"{kind[0]}_{one}_{other}_{number}", level(self.seen, number)
        self.edges.append(Edge(identity, kind, one, other, row.states[0], row=height, **more))

    def _back(self, number: int, row: SeenRow, after: int, before: int) -> None:
        """Draw the arrow back from one column to the one before it in the recurrence."""
        source, target = self._end(row, after, leaving=True), self._end(row, before, leaving=False)
        share = float(row.left[target])
        if not (row.reached[source] and row.reached[target]) or not share > -math.inf:  # nothing arrives: no arrow
            return
        kept = share - float(row.left[source])
        factor = 10 ** min(kept, 308.0) if row.left[source] > -math.inf else math.nan  # a file may hold any number
        plain = row.plain or "fold" in (self.columns[after].kind, self.columns[before].kind)
        mean = float(row.gate_mean[source]) if row.gate_mean is not None else math.nan
        label = "" if plain else f"{row.gate} {mean:.2f}" if not math.isnan(mean) else factor_text(factor)
        self._join(number, row, self._box(number, after), self._box(number, before), "backward",
                   gain=summarise_plain(np.array([factor])), share=share, label=label)  # fmt: skip

    def _end(self, row: SeenRow, place: int, *, leaving: bool) -> int:
        """Give the timestep at which a gradient leaves a column, or enters it."""
        column = self.columns[place]
        return column.first if (row.way == "left") == leaving else column.last

    def _box(self, number: int, place: int) -> str:
        return f"n{place}" if self.columns[place].kind == "fold" else f"n{place}_{level(self.seen, number)}"

    def across(self) -> None:
        """Draw what goes up in a step, what sinks from layer to layer at the loss, and what crosses to an encoder."""
        rows = self.seen.rows
        for place, column in enumerate(self.columns):
            if column.kind != "step":
                continue
            here = [number for number in range(len(rows)) if self._box(number, place) in self.vertices][::-1]
            stack = [self._box(number, place) for number in here]
            groups = [one for one in range(len(here)) if not one or rows[here[one]].recurrence.layer != rows[
                here[one - 1]].recurrence.layer]  # fmt: skip
            for at in groups:
                below = f"n{place}_0" if not at else stack[at - 1]
                self.edges.append(Edge(f"f_{below}_{stack[at]}", "forward", below, stack[at]))
                if at and is_here(self.seen, column):
                    share = float(rows[here[at - 1]].left[column.first])
                    if share >= MARK:
                        self.edges.append(Edge(f"b_{stack[at]}_{below}", "backward", stack[at], below, share=share))
            loss = f"n{place}_{level(self.seen, -1)}"
            if loss in self.vertices and stack:
                self.edges.append(Edge(f"f_{stack[-1]}_{loss}", "forward", stack[-1], loss))
                if is_here(self.seen, column):
                    self.edges.append(Edge(f"b_{loss}_{stack[-1]}", "backward", loss, stack[-1], share=0.0))
        for source, target in self.seen.handovers:
            self._cross(source, target)

    def _cross(self, source: int, target: int) -> None:
        one, other = self.seen.rows[source], self.seen.rows[target]
        if other.way == "right" and target != source + 1:  # the way to its far end would lead over other boxes
            return
        first = 0 if one.way == "left" else one.recurrence.timesteps - 1
        last = other.recurrence.timesteps - 1 if other.way == "left" else 0
        share = float(other.left[last])
        begin, end = (self._step(row, t) for row, t in ((one, first), (other, last)))
        if begin is not None and end is not None and not math.isnan(share):
            a, b = self._box(source, begin), self._box(target, end)
            self.edges.append(Edge(f"b_{a}_{b}", "backward", a, b, share=share, label="handover"))

    def _step(self, row: SeenRow, t: int) -> int | None:
        """Find the column of a row's step, None where that is folded."""
        own = (place for place, column in enumerate(self.columns) if column.kind == "step" and column.first == t
               and holds(self.seen, row, column))  # fmt: skip
        return next(own, None)
