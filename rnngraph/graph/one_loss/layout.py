"""Where everything stands, in pixels from the upper left corner, y down.

In: a graph that is seen from one loss. Out: a `Layout`: a span a column, a height a row, and where the parts begin.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.grid import Span
from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.one_loss.fold import right_margin
from rnngraph.graph.one_loss.view import Mark, Seen
from rnngraph.graph.pen import FLAG, FLAG_TEXT, sentences
from rnngraph.graph.sheet import Shape
from rnngraph.graph.sizes import Sizes, is_wide, sizes_of

LABEL_TEXT = 12.0  # of the name over a row
LABEL_UP = 34.0  # how far it stands over the middle of the row
Flag: TypeAlias = tuple[Mark, str, float, float, float]  # the mark, its text, left side, width and upper side
WIDEST = 150.0  # of a column that has room
ROWS = {True: 84.0, False: 98.0}  # from row to row
RANGE = 86.0  # the width of a fold that says its range
UNDER = 68.0  # from the last row to the end of a fold


@dataclass(frozen=True)
class Layout:
    """The places of one picture."""

    graph: Graph
    seen: Seen
    sizes: Sizes
    wide: bool
    width: float
    columns: tuple[Span, ...]

    @cached_property
    def head(self) -> tuple[list[Shape], float]:
        """The sentences on top, and where they end."""
        texts = (self.graph.title, self.seen.why, self.seen.small)
        return sentences(texts, self.sizes, min(self.width, 1100.0))

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """Every mark with the text and the place of its flag; of two that meet in short, one stands under the other."""
        texts = [[mark.text for mark in self.seen.marks], [mark.short for mark in self.seen.marks]]
        long, short = (self._flags(one) for one in texts)
        room = self.width - 2 * self.sizes.margin
        fits = all(width_of(text, FLAG_TEXT, bold=True) + 20 <= room for text in texts[0])
        return long if fits and len({top for *_, top in long}) < 2 else short

    def _flags(self, texts: list[str]) -> tuple[Flag, ...]:
        found: list[Flag] = []
        top = self.head[1] + 6.5
        for mark, text in zip(self.seen.marks, texts, strict=True):
            if width_of(text, FLAG_TEXT, bold=True) + 20 > self.width - 2 * self.sizes.margin:
                text = next(iter(re.findall(r"lag \d+|\S+ % left", text)), text)  # on a strip of paper the number alone
            wide = min(width_of(text, FLAG_TEXT, bold=True) + 20, self.width - 2 * self.sizes.margin)
            at = self.edge(mark.edges[0][1])
            left = at - wide if mark.way == "left" and text.startswith("◂") else at
            left = max(self.sizes.margin, min(left, self.width - self.sizes.margin - wide))
            meets = any(left < other + size + 6 and other < left + wide + 6 for _, _, other, size, _ in found)
            found.append((mark, text, left, wide, top + (FLAG + 4 if meets else 0)))
        return tuple(found)

    def label(self, number: int) -> tuple[str, float]:
        """Give the name over a row of a narrow picture, and where it begins: before all marks, or behind one.

        It says what the row is, where there is room before the first mark.
        """
        row, left, right = self.seen.rows[number], self.sizes.margin + 6, self.width - self.sizes.margin
        name, note = one_line(row.name), one_line(row.note)
        edges = sorted(edge for mark in self.seen.marks for _, at in mark.edges if (edge := self.edge(at)) > left)
        rooms = list(zip([left, *(edge + 7 for edge in edges)], [*(edge - 5 for edge in edges), right], strict=True))
        both = [(f"{name} · {note}", *rooms[0])] if note and (len(self.seen.rows) == 1 or len(note) < 9) else []
        for text, start, stop in (*both, *((name, *room) for room in rooms)):
            if width_of(text, LABEL_TEXT, bold=True) <= stop - start:
                return text, start
        return fit(name, max(rooms[0][1] - left, 60.0), LABEL_TEXT, bold=True), left

    @cached_property
    def top(self) -> float:
        """Where the graph begins: the upper side of its folds."""
        above = self.head[1] + 6.5
        return max((top + FLAG for *_, top in self.flags), default=above) + 10 + 18 * (len(self.seen.segments) > 1)

    @property
    def loss(self) -> float:
        """The middle of the losses."""
        return self.top + 18

    def row(self, number: int) -> float:
        """Give the middle of a row of boxes, the topmost first."""
        return self.loss + (58 if self.wide else 75) + ROWS[self.wide] * number

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


def lay_out(graph: Graph) -> Layout:
    """Place the columns of a graph."""
    seen = graph.seen
    assert seen is not None
    sizes, wide = sizes_of(seen.width), is_wide(seen.width)
    margin = right_margin(seen.width, seen.rows)
    steps = [column for column in graph.columns if column.kind == "step"]
    folds = [column for column in graph.columns if column.kind == "fold"]
    room = seen.width - sizes.first - margin
    if seen.own:
        pitch = max(sizes.pitch, min(WIDEST, (room - 60 * len(folds)) / max(len(steps), 1)))
        room = max(room, pitch * len(steps) + 60 * len(folds))
    elif folds:
        # A fold had better be wide enough to say its range.
        pitch = max(sizes.close, min(sizes.pitch, (room - RANGE * len(folds)) / max(len(steps), 1)))
        pitch = max(sizes.least, min(pitch, (room - sizes.fold * len(folds)) / max(len(steps), 1)))
    else:
        pitch = min(WIDEST, room / max(len(steps), 1))
    roots = sum(math.sqrt(column.count) for column in folds) or 1.0
    least = min(sizes.fold, (room - pitch * len(steps)) / max(len(folds), 1))
    left_over = room - pitch * len(steps) - least * len(folds)
    spans, x = [], sizes.first
    for number, column in enumerate(graph.columns):
        if column.kind == "initial":
            spans.append(Span(sizes.first - 46, sizes.first) if not number else Span(x, x + 44))
            continue
        size = pitch if column.kind == "step" else least + left_over * math.sqrt(column.count) / roots
        spans.append(Span(x, x + size))
        x += size
    width = max(float(seen.width), sizes.first + room + margin)
    return Layout(graph, seen, sizes, wide, width, tuple(spans))
