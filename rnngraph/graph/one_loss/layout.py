"""Where everything stands, in pixels from the upper left corner, y down.

In: a graph that is seen from one loss. Out: a `Layout`: a span a column, a height a row, and where the parts begin.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from rnngraph.graph.layout.geometry import Box, Point, Span, one_line
from rnngraph.graph.layout.metrics import ELLIPSIS, longest_part, name_lines, width_of
from rnngraph.graph.model import Column, Edge, Graph, Vertex
from rnngraph.graph.one_loss.view import Mark, Seen
from rnngraph.graph.paper import Paper
from rnngraph.graph.sheet import FLAG, FLAG_TEXT

LABEL_TEXT = 12.0  # of the name over a row
LABEL_UP = 34.0  # how far its last line stands over the middle of the row
LABEL_LINE = 12.0
Flag: TypeAlias = tuple[Mark, str, float, float, float]  # the mark, its text, left side, width and upper side
ROWS = {True: 84.0, False: 98.0}  # from row to row
RANGE = 86.0  # the width of a fold that says its range
BENT = 58.0  # how far below a row's middle a mark goes over to the next row
UNDER = 68.0  # from the last row to the end of a fold
CIRCLE, OTHER = 12.0, 10.0  # radius of an initial state, and of a loss that is not looked from
INPUT = (63.0, 18.0)  # how far under the last row a word has its middle, and its height


@dataclass(frozen=True)
class Layout:
    """The places of one picture."""

    graph: Graph
    seen: Seen
    paper: Paper
    head: float  # where the sentences on top end
    columns: tuple[Span, ...]

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """Every mark with the text and the place of its flag; of two that meet in short, one stands under the other."""
        texts = [[mark.text for mark in self.seen.marks], [mark.short for mark in self.seen.marks]]
        long, short = (self._flags(one) for one in texts)
        room = self.paper.inner
        fits = all(width_of(text, FLAG_TEXT, bold=True) + 20 <= room for text in texts[0])
        return long if fits and len({top for *_, top in long}) < 2 else short

    def _flags(self, texts: list[str]) -> tuple[Flag, ...]:
        found: list[Flag] = []
        top, margin = self.head + 6.5, self.paper.margin
        for mark, text in zip(self.seen.marks, texts, strict=True):
            if width_of(text, FLAG_TEXT, bold=True) + 20 > self.paper.inner:
                text = next(iter(re.findall(r"lag \d+|\S+ % left", text)), text)  # on a strip of paper the number alone
            wide = min(width_of(text, FLAG_TEXT, bold=True) + 20, self.paper.inner)
            at = self.edge(mark.edges[0][1])
            left = at - wide if mark.way == "left" and text.startswith("◂") else at
            left = max(margin, min(left, self.paper.width - margin - wide))
            meets = any(left < other + size + 6 and other < left + wide + 6 for _, _, other, size, _ in found)
            found.append((mark, text, left, wide, top + (FLAG + 4 if meets else 0)))
        return tuple(found)

    def label(self, number: int) -> tuple[str, float]:
        """Give the name over a row of a narrow picture, and where it begins: where nothing crosses it.

        It says what the row is, where there is room; where there is little, it takes two lines. It stands over the
        boxes of its own part of the time axis.
        """
        row, right = self.seen.rows[number], self.paper.width - self.paper.margin
        left = max(self.paper.margin, self.edge(row.segment.start - 0.5)) + 6
        name, note = one_line(row.name), one_line(row.note)
        forms = [f"{name} · {note}"] if note and (len(self.seen.rows) == 1 or len(note) < 9) else []
        rooms = self.rooms(self.row(number) - LABEL_UP, left, right)
        for start, stop in rooms:
            found = [one for one in forms if width_of(one, LABEL_TEXT, bold=True) <= stop - start]
            found += ["\n".join(name_lines(name, stop - start, LABEL_TEXT, most=2))]
            if longest_part(name, LABEL_TEXT) <= stop - start and not found[0].startswith(ELLIPSIS):
                return found[0], start
        start, stop = max(rooms, key=lambda room: room[1] - room[0])
        return "\n".join(name_lines(name, max(stop - start, 60.0), LABEL_TEXT, most=2)), start

    def rooms(self, y: float, left: float, right: float) -> list[tuple[float, float]]:
        """Divide a stretch at a height into those in which a text is not crossed, by a mark or by a way down."""
        walls = sorted(
            (x, half) for x, half, top, foot in self._walls if top < y + 6 and y - 6 < foot and left < x < right
        )
        starts = [left, *(x + half for x, half in walls)]
        return list(zip(starts, [*(x - half for x, half in walls), right], strict=True))

    @cached_property
    def _walls(self) -> list[tuple[float, float, float, float]]:
        """What runs down: its middle, half of its width with what is left free beside it, and both ends."""
        lines = [(x, 6.0, top, foot) for corners in self.marks
                 for (x, top), (_, foot) in zip(corners[::2], corners[1::2], strict=True)]  # fmt: skip
        down = [edge for edge in self.graph.edges if edge.kind == "backward" and self._goes_down(edge)]
        ends = [(edge, self.place(self.vertices[edge.source]), self.place(self.vertices[edge.target])) for edge in down]
        return lines + [(self.way_down(edge), 12.0, source.y, target.y) for edge, source, target in ends]

    @cached_property
    def vertices(self) -> dict[str, Vertex]:
        """The boxes by their ids."""
        return {vertex.id: vertex for vertex in self.graph.vertices}

    def place(self, vertex: Vertex) -> Box:
        """Give where a box stands, a fold at its side of a row alone."""
        span = self.columns[vertex.column]
        if vertex.kind == "loss":
            radius = self.paper.sizes.loss if vertex.label else OTHER
            return Box(span.middle, self.loss, 2 * radius, 2 * radius)
        if vertex.kind == "input":
            return Box(span.middle, self.last_row + INPUT[0], span.size, INPUT[1])
        y, (width, height) = self.row(self.number_of(vertex.row)), self.paper.sizes.box
        if vertex.kind == "initial":
            return Box(span.middle, y, 2 * CIRCLE, 2 * CIRCLE)
        return Box(span.middle, y, span.size if vertex.kind == "fold" else width, height)

    def _goes_down(self, edge: Edge) -> bool:
        return edge.label == "handover" or self.vertices[edge.source].column == self.vertices[edge.target].column

    def way_down(self, edge: Edge) -> float:
        """Give where a gradient comes down to a row: in the middle, or in a stack beside what goes back in time."""
        source, target = self.vertices[edge.source], self.vertices[edge.target]
        aside = 0
        if source.kind != "loss" and edge.label != "handover":
            aside = 15 if self.seen.rows[self.number_of(source.row)].way == "left" else -15
        return self.columns[target.column].middle + aside

    @cached_property
    def marks(self) -> list[list[Point]]:
        """The corners of the line of every flag: through the rows, from the edge of one to that of the next."""
        return [self._corners(mark, top + FLAG) for mark, *_, top in self.flags]

    def _corners(self, mark: Mark, high: float) -> list[Point]:
        points: list[Point] = []
        for row, edge in mark.edges:
            x = self.edge(edge)
            points += [(x, high), (x, self.row(row) + BENT)]
            high = self.row(row) + BENT
        points[-1] = (points[-1][0], self.row(mark.edges[-1][0]) + 40)
        return points

    @cached_property
    def top(self) -> float:
        """Where the graph begins: the upper side of its folds."""
        above = self.head + 6.5
        return max((top + FLAG for *_, top in self.flags), default=above) + 10 + 18 * (len(self.seen.segments) > 1)

    @property
    def loss(self) -> float:
        """The middle of the losses."""
        return self.top + 18

    def row(self, number: int) -> float:
        """Give the middle of a row of boxes, the topmost first."""
        return self.loss + (58 if self.paper.wide else 75) + ROWS[self.paper.wide] * number

    @property
    def last_row(self) -> float:
        """The middle of the lowest row."""
        return self.row(len(self.seen.rows) - 1)

    @property
    def bottom(self) -> float:
        """The lower side of the folds."""
        return self.last_row + UNDER

    @property
    def rule(self) -> float:
        """The line between the graph and its strips."""
        return self.last_row + 108

    def number_of(self, level: int) -> int:
        """Give the row of the picture of a row of the graph, which counts from below."""
        return len(self.seen.rows) - level

    def positions(self, column: Column) -> tuple[int, int]:
        """Give the positions of the time axis that a column stands for."""
        start = self.seen.segments[column.segment].start
        return start + column.ranges[0][0], start + column.ranges[0][1]

    def edge(self, edge: float) -> float:
        """Give the x of an edge of the time axis, which is half a position: between columns, or between bars."""
        after = math.floor(edge + 0.5)  # the position behind the edge
        for column, span in zip(self.graph.columns, self.columns, strict=True):
            if not column.ranges:
                continue
            start, stop = self.positions(column)
            if start <= after < stop or after == stop == self.seen.segments[-1].stop:
                left, right = inside(span)
                part = (after - start) / (stop - start)
                return span.start if after == start else span.stop if after == stop else left + (right - left) * part
        return self.columns[-1].stop


def inside(span: Span) -> tuple[float, float]:
    """Give the left and right side of the bars inside a fold."""
    return span.start + 4, span.stop - 4
