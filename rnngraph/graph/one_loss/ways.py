"""The edges of a graph that is seen from one loss: forward, and back where the credit goes.

In: what is seen, the columns' places and the boxes. Out: edges, and the boxes of initial states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from rnngraph.diagnosis.sentences import factor_text, percent
from rnngraph.graph.model import Edge, Vertex
from rnngraph.graph.one_loss.view import Seen, SeenRow
from rnngraph.graph.style.left import MARK
from rnngraph.graph.summary import summarise_plain


@dataclass(frozen=True, slots=True)
class Place:
    """A column and the positions of the time axis that it stands for."""

    number: int
    start: int
    stop: int

    @property
    def folded(self) -> bool:
        """Whether it is a fold."""
        return self.stop - self.start > 1


def level(seen: Seen, number: int) -> int:
    """Give the row of the graph, which counts from below, of a row of the picture."""
    return len(seen.rows) - number


def begins(seen: Seen, row: SeenRow) -> bool:
    """Whether the initial state of a row is drawn: at the ends of the axis, and where no encoder gives it."""
    at_end = row.segment is (seen.segments[0] if row.way == "left" else seen.segments[-1])
    return at_end and not math.isnan(row.initial)


@dataclass
class Ways:
    """Draws the edges between boxes, which it finds by their ids; `left` and `right` have initial states."""

    seen: Seen
    places: list[Place]
    vertices: dict[str, Vertex]
    left: bool
    right: bool
    edges: list[Edge] = field(default_factory=list)

    def along(self, number: int, row: SeenRow) -> None:
        """Draw the arrows along one row: forward in its direction, and back where the credit goes."""
        own = [place for place in self.places if row.segment.start <= place.start < row.segment.start
               + row.recurrence.timesteps]  # fmt: skip
        order = own if row.way == "left" else own[::-1]  # as the recurrence runs
        for before, after in pairwise(order):
            one, other = self._box(number, before), self._box(number, after)
            self.edges.append(Edge(f"r_{one}_{other}_{number}", "recurrent", one, other, row.states[0]))
        for after, before in pairwise(order[::-1]):
            self._back(number, row, after, before)
        if (self.left if row.way == "left" else self.right) and begins(self.seen, row) and order:
            column = 0 if row.way == "left" else self.places[-1].number + 1
            height = level(self.seen, number)
            start = Vertex(
                f"n{column}_{height}", "initial", f"{row.kind or 'h'}0", height, column, row.kind,
                state=row.states[0], share=row.initial,
                note=f"the initial state of {row.name}: {percent(row.initial)} of this loss's gradient is left",
            )  # fmt: skip
            self.vertices[start.id] = start
            box = self._box(number, order[0])
            self.edges.append(Edge(f"r_{start.id}_{box}_{number}", "recurrent", start.id, box, row.states[0]))
            if row.initial > -math.inf and row.reached[self._end(row, order[0], leaving=True)]:
                self.edges.append(Edge(f"b_{box}_{start.id}_{number}", "backward", box, start.id, row.states[0],
                                       share=row.initial))  # fmt: skip

    def _back(self, number: int, row: SeenRow, after: Place, before: Place) -> None:
        """Draw the arrow back from one column to the one before it in the recurrence."""
        source, target = self._end(row, after, leaving=True), self._end(row, before, leaving=False)
        if not (row.reached[source] and row.reached[target]) or math.isnan(row.left[target]):
            return
        if row.left[target] == -math.inf:  # nothing arrives: no arrow
            return
        kept = float(row.left[target] - row.left[source])
        factor = 10 ** min(kept, 308.0) if row.left[source] > -math.inf else math.nan  # a file may hold any number
        one, other = self._box(number, after), self._box(number, before)
        plain = after.folded or before.folded or row.plain
        mean = float(row.gate_mean[source]) if row.gate_mean is not None else math.nan
        label = "" if plain else f"{row.gate} {mean:.2f}" if not math.isnan(mean) else factor_text(factor)
        self.edges.append(Edge(
            f"b_{one}_{other}_{number}", "backward", one, other, row.states[0],
            gain=summarise_plain(np.array([factor])), share=float(row.left[target]), label=label,
        ))  # fmt: skip

    def _end(self, row: SeenRow, place: Place, *, leaving: bool) -> int:
        """Give the timestep at which a gradient leaves a column, or enters it."""
        first = (row.way == "left") == leaving
        return (place.start if first else place.stop - 1) - row.segment.start

    def _box(self, number: int, place: Place) -> str:
        return f"n{place.number}" if place.folded else f"n{place.number}_{level(self.seen, number)}"

    def across(self) -> None:
        """Draw what goes up in a step, what sinks from layer to layer at the loss, and what crosses to an encoder."""
        rows = self.seen.rows
        for place in self.places:
            if place.folded:
                continue
            here = [number for number in range(len(rows)) if self._box(number, place) in self.vertices][::-1]
            stack = [self._box(number, place) for number in here]
            groups = [one for one in range(len(here)) if not one or rows[here[one]].recurrence.layer != rows[
                here[one - 1]].recurrence.layer]  # fmt: skip
            for at in groups:
                below = f"n{place.number}_0" if not at else stack[at - 1]
                self.edges.append(Edge(f"f_{below}_{stack[at]}", "forward", below, stack[at]))
                if at and place.start == self.seen.position:
                    lower = rows[here[at - 1]]
                    share = float(lower.left[place.start - lower.segment.start])
                    if share >= MARK:
                        self.edges.append(Edge(f"b_{stack[at]}_{below}", "backward", stack[at], below, share=share))
            loss = f"n{place.number}_{len(rows) + 1}"
            if loss in self.vertices and stack:
                self.edges.append(Edge(f"f_{stack[-1]}_{loss}", "forward", stack[-1], loss))
                if place.start == self.seen.position:
                    self.edges.append(Edge(f"b_{loss}_{stack[-1]}", "backward", loss, stack[-1], share=0.0))
        for source, target in self.seen.handovers:
            self._cross(source, target)

    def _cross(self, source: int, target: int) -> None:
        one, other = self.seen.rows[source], self.seen.rows[target]
        first = one.segment.start if one.way == "left" else one.segment.start + one.recurrence.timesteps - 1
        last = other.segment.start + (other.recurrence.timesteps - 1 if other.way == "left" else 0)
        at = {place.start: place for place in self.places if not place.folded}
        share = float(other.left[last - other.segment.start])
        if first in at and last in at and not math.isnan(share):
            a, b = self._box(source, at[first]), self._box(target, at[last])
            self.edges.append(Edge(f"b_{a}_{b}", "backward", a, b, share=share, label="handover"))
