"""From a trace and one loss to a `Graph`: rows of states with what is left, losses, inputs, folds, and the way back.

Only what is shown becomes a box; linear maps, scores, gates and weights are left to the view of all losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.sentences import part_text, percent, share_text
from rnngraph.graph.build.fold import valid_samples
from rnngraph.graph.model import Column, Graph, Row, Vertex
from rnngraph.graph.one_loss.fold import gaps
from rnngraph.graph.one_loss.view import Seen, SeenRow
from rnngraph.graph.one_loss.ways import Place, Ways, begins, level
from rnngraph.graph.summary import UNKNOWN, Summary, summarise, summarise_plain
from rnngraph.trace.model import Trace


def build(trace: Trace, seen: Seen, shown: set[int], title: str, *, initial: bool) -> Graph:
    """Return the graph of the positions that are shown, with the initial states where there is room for them."""
    return _Builder(trace, seen, shown, initial).graph(title)


class _Builder:
    """Knows rows and columns; boxes are found by row and place."""

    def __init__(self, trace: Trace, seen: Seen, shown: set[int], initial: bool) -> None:
        self.trace, self.seen = trace, seen
        left, right = (initial and any(row.way == way and begins(seen, row) for row in seen.rows)
                       for way in ("left", "right"))  # fmt: skip
        folds = gaps(shown, [segment.start for segment in seen.segments], seen.segments[-1].stop)
        runs = sorted([*((at, at + 1) for at in shown), *folds])
        self.places = [Place(number + left, *run) for number, run in enumerate(runs)]
        self.left, self.right = left, right
        self.states = {state.name: state for state in trace.states}
        self.vertices: dict[str, Vertex] = {}

    def graph(self, title: str) -> Graph:
        seen, trace = self.seen, self.trace
        for place in self.places:
            for vertex in self._column(place):
                self.vertices[vertex.id] = vertex
        ways = Ways(seen, self.places, self.vertices, self.left, self.right)
        for number, row in enumerate(seen.rows):
            ways.along(number, row)
        ways.across()
        sizes = Summary(math.nan, math.nan, UNKNOWN.counts)
        return Graph(
            title, seen.small, trace.timesteps, trace.batch, self._columns(), self._rows(),
            tuple(self.vertices.values()), tuple(ways.edges), (), sizes, sizes, sizes, seen=seen,
        )  # fmt: skip

    def _rows(self) -> tuple[Row, ...]:
        rows = [Row(row.name, "track", row.recurrence.layer, row.recurrence.direction) for row in self.seen.rows]
        return (Row("x", "input"), *rows[::-1], Row("loss", "loss"))

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
        saturated, own = summarise_plain(row.saturated, t), level(self.seen, number)
        return Vertex(
            f"n{place.number}_{own}", "state", share_text(left) if known else "", own, place.number,
            row.kind, nodes=(node,) if node >= 0 else (), state=row.states[0],
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
        text = f"{where}, lag {row.lags[t]}: {percent(left)} of this loss's gradient is left"
        if row.saturated[t] > 0:
            text += f"; {part_text(row.saturated[t])} of the units are saturated"
        if row.cut and row.lags[t] == row.lags.max():
            return f"{text}; the recurrence is cut here, and nothing goes further back"
        if left == -math.inf:
            return f"{text}: it is exactly zero"
        return text
