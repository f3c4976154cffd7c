"""The arrows: thin and grey forward, coloured and as wide as what is left back in time; and the lines of the marks.

In: a layout. Out: curves.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.diagnosis.sentences import percent
from rnngraph.graph.layout.geometry import Box, Point, one_line, path, straight
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.model import Edge, Vertex
from rnngraph.graph.one_loss.bars import Axis
from rnngraph.graph.one_loss.boxes import BAR
from rnngraph.graph.one_loss.layout import LABEL_LINE, LABEL_TEXT, LABEL_UP, Layout
from rnngraph.graph.sheet import Curve, rule
from rnngraph.graph.style.left import MARK, is_dotted, tone, width

INSET = 8.0  # how far beside the middle of a box an arrow back begins and ends
DEEP = 25.0  # how far its knees hang below
LABEL = 33.0  # how far below a box the factor stands
HEAD = 5.0  # of an arrow forward
FACTOR_TEXT = 11.0


def curves(layout: Layout, axis: Axis) -> Iterator[Curve]:
    """Draw the arrows forward, the marks, and upon them the arrows back."""
    drawn = _Arrows(layout)
    for edge in layout.graph.edges:
        if edge.kind != "backward":
            yield drawn.forward(edge)
    yield from _lines_in_folds(layout, axis)
    yield from _borders(layout)
    for number, corners in enumerate(layout.marks):
        yield rule(f"mark{number}", corners, "ink", thickness=1.75)
    for edge in layout.graph.edges:
        if edge.kind == "backward":
            yield drawn.backward(edge)


def _lines_in_folds(layout: Layout, axis: Axis) -> Iterator[Curve]:
    """Draw the line at 1 % through the bars of every fold."""
    for vertex in layout.graph.vertices:
        if vertex.kind != "fold":
            continue
        span, column = layout.columns[vertex.column], layout.graph.columns[vertex.column]
        start, stop = column.ranges[0]
        for number, row in enumerate(layout.seen.rows):
            if row.segment is layout.seen.segments[column.segment] and row.reached[start:stop].any():
                for decades, _ in axis.marks:
                    y = layout.row(number) + 20 - axis.share(decades) * BAR
                    yield rule(f"{vertex.id}_{number}m{abs(decades):.0f}", [(span.start + 3, y), (span.stop - 3, y)],
                               "muted", line="dashed")  # fmt: skip


def _borders(layout: Layout) -> Iterator[Curve]:
    """Draw a line where one segment of the time axis ends and the next begins."""
    for number, segment in enumerate(layout.seen.segments[1:]):
        x = layout.edge(segment.start - 0.5)
        yield rule(f"border{number}", [(x, layout.top - 18), (x, layout.bottom + 30)], "rule")


class _Arrows:
    """Knows where the boxes are."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.vertices = layout, layout.vertices
        self.crossing = next((edge for edge in layout.graph.edges if edge.label == "handover"), None)

    def forward(self, edge: Edge) -> Curve:
        below = self.vertices[edge.source]
        source, target = self.layout.place(below), self.layout.place(self.vertices[edge.target])
        if edge.kind == "recurrent":
            y = self.layout.row(self.layout.number_of(edge.row))
            way = 1 if target.x > source.x else -1
            points = [(source.side(way), y), (target.side(-way) - 1.0 * way, y)]
        else:
            points = [(source.x, self._over(below)), (source.x, target.bottom + 1)]
        far = abs(points[1][0] - points[0][0]) + abs(points[1][1] - points[0][1])
        head = min(HEAD, 0.7 * far)  # beside a fold there may be little room
        return Curve(edge.id, edge.kind, edge.source, edge.target, path(points), "line", head_length=head)

    def _over(self, vertex: Vertex) -> float:
        """Give where an arrow up begins: over the box, or over the name of its row where that is in the way."""
        layout, place = self.layout, self.layout.place(vertex)
        if layout.paper.wide or vertex.kind == "input":
            return place.top
        name, left = layout.label(layout.number_of(vertex.row))
        within = left - 4 < place.x <= left + width_of(name, LABEL_TEXT, bold=True) + 4
        above = LABEL_UP + 8 + LABEL_LINE * name.count("\n")
        return place.y - above if within else place.top

    def backward(self, edge: Edge) -> Curve:
        source, target = self.vertices[edge.source], self.vertices[edge.target]
        share = edge.share if edge.share is not None else MARK - 1
        found = tone(share, floor=self.layout.seen.floor)
        dotted, thick = is_dotted(share), width(share)
        stroke = "line" if dotted else found.name
        points, at = self._way(edge, source, target)
        arrives = f"{percent(share)} of this loss's gradient arrives"
        hint = f"{edge.label} a step: {arrives}" if edge.label else arrives
        text = (
            "" if edge.label == "handover" and edge is not self.crossing else edge.label
        )  # of several it is said once
        strong, at = not dotted, self._beside_marks(at, text, bold=not dotted)
        return Curve(
            edge.id, "backward", edge.source, edge.target, points, stroke, round(thick, 2),
            "dotted" if dotted else "solid", "filled", text, at, "ink" if strong else "muted",
            one_line(hint), _head(thick), FACTOR_TEXT, strong,
        )  # fmt: skip

    def _beside_marks(self, at: Point, text: str, *, bold: bool) -> Point:
        """Move a text beside the line of a flag that would go through it, to where the gradient is going."""
        half = width_of(text, FACTOR_TEXT, bold=bold) / 2 + 2  # beyond it stands what goes up
        for (mark, *_), corners in zip(self.layout.flags, self.layout.marks, strict=True):
            for (x, top), (_, foot) in zip(corners[::2], corners[1::2], strict=True):
                if text and top < at[1] + 4 and at[1] - 4 < foot and abs(x - at[0]) < half:
                    return (x - half, at[1]) if mark.way == "left" else (x + half, at[1])
        return at

    def _way(self, edge: Edge, one: Vertex, other: Vertex) -> tuple[tuple[Point, ...], Point]:
        source, target = self.layout.place(one), self.layout.place(other)
        if one.kind == "loss" or one.column == other.column:
            x = self.layout.way_down(edge)
            return straight((x, source.bottom), (x, target.top - 1)), (0.0, 0.0)
        if edge.label == "handover":
            return _crossing(source, target) if one.row == other.row + 1 else _beside(source, target)
        way = 1 if target.x > source.x else -1
        b = target.x - way * min(INSET, target.width / 4)
        if "fold" in (one.kind, other.kind):
            y = self.layout.row(self.layout.number_of(edge.row)) + 28
            if other.kind == "fold":
                a = source.x + way * INSET
                return ((a, source.bottom + 1), (a, y), (a + way * 4, y), (target.side(-way), y)), (0.0, 0.0)
            # Out of a fold it goes so far down that there is room for the head.
            y += max(0.0, _head(width(edge.share)) - 8) if edge.share is not None else 0.0
            return ((source.side(way), y), (b - way * 8, y), (b - way * 2, y), (b, target.bottom + 1)), (0.0, 0.0)
        a, low = source.x + way * INSET, source.bottom + DEEP + 2
        lean = (b - a) * 0.12
        points = (a, source.bottom + 1), (a + lean, low), (b - lean, low), (b, target.bottom + 1)
        return points, ((a + b) / 2, source.bottom + LABEL)


def _crossing(source: Box, target: Box) -> tuple[tuple[Point, ...], Point]:
    """Go from the first step of a decoder to the last one of its encoder, which stands below."""
    a, b = (source.x - INSET, source.bottom + 1), (target.x, target.top - 1)
    middle = (a[1] + b[1]) / 2
    return (a, (a[0], middle), (b[0], middle), b), (b[0] - 34, middle)


def _beside(source: Box, target: Box) -> tuple[tuple[Point, ...], Point]:
    """Go where a decoder borders on its encoder, past the rows that stand between."""
    way = 1 if target.x > source.x else -1
    a, b = (source.side(way), source.y), (target.side(-way) - way, target.y)
    x = (a[0] + b[0]) / 2
    return (a, (x, a[1]), (x, b[1]), b), (x + way * 40, (a[1] + b[1]) / 2)


def _head(thick: float) -> float:
    """Give the length of the head of an arrow back."""
    return 6.0 + 1.1 * thick
