"""From a trace and one loss to a `Graph`: rows of states with what is left, losses, inputs, folds, and the way back.

Only what is shown becomes a box; linear maps, scores, gates and weights are left to the view of all losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnngraph.graph.build.fold import valid_samples
from rnngraph.graph.model import Column, Edge, Graph, Row, Vertex
from rnngraph.graph.one_loss.fold import gaps
from rnngraph.graph.one_loss.model import Seen, SeenRow
from rnngraph.graph.one_loss.texts import factor_text, share_text, share_words
from rnngraph.graph.style.left import MARK
from rnngraph.graph.summary import UNKNOWN, Summary, summarise, summarise_plain
from rnngraph.trace.model import Trace


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


def build(trace: Trace, seen: Seen, shown: set[int], title: str, *, initial: bool) -> Graph:
    """Return the graph of the positions that are shown, with the initial states where there is room for them."""
    return _Builder(trace, seen, shown, initial).graph(title)


class _Builder:
    """Knows rows and columns; boxes are found by row and place."""

    def __init__(self, trace: Trace, seen: Seen, shown: set[int], initial: bool) -> None:
        self.trace, self.seen = trace, seen
        left, right = (initial and any(row.way == way and self._begins(row) for row in seen.rows)
                       for way in ("left", "right"))  # fmt: skip
        folds = gaps(shown, [segment.start for segment in seen.segments], seen.segments[-1].stop)
        runs = sorted([*((at, at + 1) for at in shown), *folds])
        self.places = [Place(number + left, *run) for number, run in enumerate(runs)]
        self.left, self.right = left, right
        self.states = {state.name: state for state in trace.states}
        self.vertices: dict[str, Vertex] = {}
        self.edges: list[Edge] = []

    def graph(self, title: str) -> Graph:
        seen, trace = self.seen, self.trace
        for place in self.places:
            for vertex in self._column(place):
                self.vertices[vertex.id] = vertex
        for number, row in enumerate(seen.rows):
            self._along(number, row)
        self._across()
        sizes = Summary(math.nan, math.nan, UNKNOWN.counts)
        return Graph(
            title, seen.small, trace.timesteps, trace.batch, self._columns(), self._rows(),
            tuple(self.vertices.values()), tuple(self.edges), (), sizes, sizes, sizes, seen=seen,
        )  # fmt: skip

    def _rows(self) -> tuple[Row, ...]:
        rows = [Row(row.name, "track", row.recurrence.layer, row.recurrence.direction) for row in self.seen.rows]
        return (Row("x", "input"), *rows[::-1], Row("loss", "loss"))

    def _level(self, number: int) -> int:
        """Give the row of the graph, which counts from below, of a row of the picture."""
        return len(self.seen.rows) - number

    def _columns(self) -> tuple[Column, ...]:
        found = [Column("initial", ())] if self.left else []
        for place in self.places:
            number, segment = next(
                (number, one) for number, one in enumerate(self.seen.segments) if one.start <= place.start < one.stop
            )
            start, stop = place.start - segment.start, place.stop - segment.start
            if place.folded:
                found.append(Column("fold", ((start, stop),), segment=number))
                continue
            # The words belong to the first recurrence of the trace, as its timesteps do.
            label = self.trace.labels[start] if len(self.seen.segments) == 1 else None
            found.append(Column("step", ((start, stop),), label, self._valid(place), number))
        return (*found, *([Column("initial", ())] if self.right else []))

    def _valid(self, place: Place) -> int:
        if len(self.seen.segments) == 1:
            return int(valid_samples(self.trace, place.start, place.stop)[0])
        own = [row for row in self.seen.rows if row.segment.start <= place.start < row.segment.stop]
        counts = [int(row.recurrence.valid[:, place.start - row.segment.start].sum()) for row in own
                  if place.start - row.segment.start < row.recurrence.timesteps]  # fmt: skip
        return max(counts, default=0)

    def _column(self, place: Place) -> Iterator[Vertex]:
        if place.folded:
            yield Vertex(f"n{place.number}", "fold", f"{place.stop - place.start} steps", -1, place.number)
            return
        own = [(number, row) for number, row in enumerate(self.seen.rows)
               if 0 <= place.start - row.segment.start < row.recurrence.timesteps]  # fmt: skip
        yield Vertex(f"n{place.number}_0", "input", "x", 0, place.number)
        for number, row in reversed(own):
            yield self._state(number, row, place)
        if self.seen.bears[place.start]:
            here = place.start == self.seen.position
            note = "the loss that is looked from" if here else "another loss, not part of this view"
            yield Vertex(f"n{place.number}_{len(self.seen.rows) + 1}", "loss", "L" if here else "", len(
                self.seen.rows) + 1, place.number, note=note, share=0.0 if here else None)  # fmt: skip

    def _state(self, number: int, row: SeenRow, place: Place) -> Vertex:
        t = place.start - row.segment.start
        left = float(row.left[t])
        known = bool(row.reached[t])
        states = self.states
        node = int(states[row.states[0]].nodes[t])
        saturated = summarise_plain(row.saturated, t)
        return Vertex(
            f"n{place.number}_{self._level(number)}", "state", share_text(left) if known else "", self._level(number),
            place.number, row.kind, nodes=(node,) if node >= 0 else (), state=row.states[0],
            grad=summarise(states[row.states[0]].grad, t), saturated=saturated, note=self._note(row, t),
            padding=not row.recurrence.valid[:, t].any(), share=left if known and not math.isnan(left) else None,
        )  # fmt: skip

    def _note(self, row: SeenRow, t: int) -> str:
        """Say of a box all that is known."""
        where = f"{row.name} at t={t}"
        if not row.recurrence.valid[:, t].any():
            return f"{where}: padding, no sample has data here"
        if not row.reached[t]:
            return f"{where}: no credit of this loss gets here"
        left = float(row.left[t])
        if math.isnan(left):
            return f"{where}, lag {row.lags[t]}: not measured"
        text = f"{where}, lag {row.lags[t]}: {share_words(left)} of this loss's gradient is left"
        if row.saturated[t] > 0:
            text += f"; {row.saturated[t]:.0%} of the units are saturated"
        if row.cut and row.lags[t] == row.lags.max():
            return f"{text}; the recurrence is cut here, and nothing goes further back"
        if left == -math.inf:
            return f"{text}: it is exactly zero"
        return text

    def _along(self, number: int, row: SeenRow) -> None:
        """Draw the arrows along one row: forward in its direction, and back where the credit goes."""
        own = [place for place in self.places if row.segment.start <= place.start < row.segment.start
               + row.recurrence.timesteps]  # fmt: skip
        order = own if row.way == "left" else own[::-1]  # as the recurrence runs
        for before, after in pairwise(order):
            one, other = self._box(number, before), self._box(number, after)
            self.edges.append(Edge(f"r_{one}_{other}_{number}", "recurrent", one, other, row.states[0]))
        for after, before in pairwise(order[::-1]):
            self._back(number, row, after, before)
        if (self.left if row.way == "left" else self.right) and self._begins(row) and order:
            column = 0 if row.way == "left" else self.places[-1].number + 1
            start = Vertex(
                f"n{column}_{self._level(number)}", "initial", f"{row.kind or 'h'}0", self._level(number), column,
                row.kind, state=row.states[0], share=row.initial,
                note=f"the initial state of {row.name}: {share_words(row.initial)} of this loss's gradient is left",
            )  # fmt: skip
            self.vertices[start.id] = start
            box = self._box(number, order[0])
            self.edges.append(Edge(f"r_{start.id}_{box}_{number}", "recurrent", start.id, box, row.states[0]))
            if row.reached[self._end(row, order[0], leaving=True)]:
                self.edges.append(Edge(f"b_{box}_{start.id}_{number}", "backward", box, start.id, row.states[0],
                                       share=row.initial))  # fmt: skip

    def _begins(self, row: SeenRow) -> bool:
        """Whether the initial state of a row is drawn: at the ends of the axis, and where no encoder gives it."""
        at_end = row.segment is (self.seen.segments[0] if row.way == "left" else self.seen.segments[-1])
        return at_end and not math.isnan(row.initial)

    def _back(self, number: int, row: SeenRow, after: Place, before: Place) -> None:
        """Draw the arrow back from one column to the one before it in the recurrence."""
        source, target = self._end(row, after, leaving=True), self._end(row, before, leaving=False)
        if not (row.reached[source] and row.reached[target]) or math.isnan(row.left[target]):
            return
        if row.left[target] == -math.inf:  # nothing arrives: no arrow
            return
        factor = 10 ** float(row.left[target] - row.left[source]) if row.left[source] > -math.inf else math.nan
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
        return f"n{place.number}" if place.folded else f"n{place.number}_{self._level(number)}"

    def _across(self) -> None:
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
