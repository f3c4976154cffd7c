"""The way of every arrow between boxes that are already placed.

In come a graph and its grid, out go a Bézier chain an edge, from the source's side to the tip at the target's side,
and the boxes of the marks where a recurrence is cut.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rnngraph.graph.layout.geometry import ARC_DEPTH, Box, Point, Points, Span, hanging, middle_of, rounded, straight
from rnngraph.graph.layout.grid import STAGGER, Grid
from rnngraph.graph.model import Edge, Graph, Vertex
from rnngraph.trace.model import REVERSE

INSET = 7.0  # how far from a box's corner an arrow back in time touches its lower side
LANE = 8.0  # distance of a vertical way beside the boxes
MARK = (28.0, 16.0)  # the size of the mark of a cut


@dataclass(frozen=True, slots=True)
class Route:
    """The points of one arrow and the middle of its label."""

    points: Points
    label: Point = (0.0, 0.0)


def find_routes(graph: Graph, grid: Grid) -> tuple[dict[str, Route], dict[str, Box]]:
    """Return the route of every edge, and the boxes of the marks where a recurrence is cut."""
    router = _Router(graph, grid)
    routes: dict[str, Route] = {}
    marks: dict[str, Box] = {}
    for edge in graph.edges:
        routes[edge.id] = router.route(edge)
        if edge.cut:
            routes[edge.id], marks[edge.target] = _cut(routes[edge.id])
    return routes, marks


class _Router:
    """Knows where everything stands; `lanes` counts the ways that run beside the boxes of a step."""

    def __init__(self, graph: Graph, grid: Grid) -> None:
        self.graph, self.grid = graph, grid
        self.vertices = {vertex.id: vertex for vertex in graph.vertices}
        self.lanes: dict[tuple[int, int], int] = defaultdict(int)
        self.states: dict[int, dict[str, int]] = defaultdict(dict)  # the levels of a row's states
        for vertex in graph.vertices:
            if vertex.kind == "state":
                self.states[vertex.row][vertex.key] = vertex.place[0]

    def route(self, edge: Edge) -> Route:
        one, other = self.vertices[edge.source], self.vertices[edge.unreached or edge.target]
        source, target = self.grid.boxes[one.id], self.grid.boxes[other.id]
        if edge.kind != "forward" and one.column == other.column:
            way = -1 if self.graph.rows[one.row].direction == REVERSE else 1
            span = self.grid.columns[one.column]
            return _loop_back(source, way) if edge.kind == "backward" else _loop(source, target, span, way)
        if edge.kind == "backward":
            rolled = self.graph.columns[one.column].kind == "loop" and other.kind == "initial"
            return _arc(one, other, source, target, label=0.7 if rolled else 0.5)
        if edge.kind == "recurrent":
            return Route(self._sideways(one, other))
        return Route(self._inside(one, other) if one.row == other.row else self._upward(one, other))

    def _sideways(self, one: Vertex, other: Vertex) -> Points:
        """Run along time: straight where the heights agree, else down a lane beside the source's step."""
        grid = self.grid
        source, target = grid.boxes[one.id], grid.boxes[other.id]
        way = 1 if target.x > source.x else -1
        out, into = source.side(way), target.side(-way)
        if one.kind == "fold":
            return straight((out, target.y), (into, target.y))
        if other.kind == "fold" or abs(source.y - target.y) < 1:
            return straight((out, source.y), (into, source.y))
        span, shift = grid.columns[one.column], grid.shifts[one.row]
        edge = span.stop - abs(shift) + shift if way > 0 else span.start + abs(shift) + shift
        if one.kind == "initial":
            edge = out
        # Each state has its own lane, the topmost the nearest; it leaves a little above the middle, where a straight
        # arrow may leave.
        levels = self.states[one.row]
        above = sum(level > levels.get(one.key, 0) for level in levels.values())
        lane = edge + way * (1 + above) * LANE
        outermost = other.place[1] == (0 if way > 0 else other.place[2] - 1)
        return rounded([(out, source.y - 6), (lane, source.y - 6), *_entry(target, lane, into, beside=outermost)])

    def _inside(self, one: Vertex, other: Vertex) -> Points:
        """Go up inside a step: straight to the next level, past what is between to a higher one."""
        source, target = self.grid.boxes[one.id], self.grid.boxes[other.id]
        if other.place[0] - one.place[0] <= 1:
            return straight((source.x, source.top), (target.x, target.bottom))
        if one.place[2] == other.place[2] == 1:
            x = min(source.right, target.right) - LANE
            return straight((x, source.top), (x, target.bottom))
        # Beside everything; each further way of the same step a little further out.
        number = self.lanes[one.row, one.column]
        self.lanes[one.row, one.column] += 1
        shift = self.grid.shifts[one.row]
        lane = self.grid.columns[one.column].stop - abs(shift) + shift + 3 + 4 * (number % 3)
        entry = _entry(target, lane, target.right, beside=other.place[1] == other.place[2] - 1)
        if one.place[1] == one.place[2] - 1:
            return rounded([(source.right, source.y), (lane, source.y), *entry])
        over = source.top - 7
        return rounded([(source.x, source.top), (source.x, over), (lane, over), *entry])

    def _upward(self, one: Vertex, other: Vertex) -> Points:
        """Go up from row to row; past the other direction of the same layer on the side that it leaves free."""
        source, target = self.grid.boxes[one.id], self.grid.boxes[other.id]
        span, shifts = self.grid.columns[one.column], self.grid.shifts
        blocks = [row for row in range(one.row + 1, other.row) if shifts[row]]
        if other.row - one.row > 1 + len(blocks):
            lane = max(source.right, target.right) + LANE + 6
            return rounded([(source.right, source.y), (lane, source.y), (lane, target.y), (target.right, target.y)])
        if not blocks:
            start = min(max(target.x, source.left + 8), source.right - 8)
            return straight((start if abs(start - target.x) < 1 else source.x, source.top), (target.x, target.bottom))
        # A forward direction leaves its left side free, a reverse one its right.
        side = span.start + STAGGER / 2 if shifts[one.row] < 0 else span.stop - STAGGER / 2
        start = min(max(side, source.left + 8), source.right - 8)
        stop = min(max(side, target.left + 8), target.right - 8)
        corners = [(start, source.top), (side, source.top - 8), (side, target.bottom + 12), (stop, target.bottom)]
        return straight(corners[0], corners[-1]) if start == side == stop else rounded(corners)


def _arc(one: Vertex, other: Vertex, source: Box, target: Box, *, label: float) -> Route:
    """Hang an arrow back in time between the lower corners of two boxes, the label at a share of its way."""
    way = 1 if target.x > source.x else -1
    start, stop = _corner(one, source, target, way), _corner(other, target, source, -way)
    points = hanging(start, stop, (stop[0] - start[0]) * 0.2)
    return Route(points, (start[0] + label * (stop[0] - start[0]), max(start[1], stop[1]) + ARC_DEPTH + 9))


def _corner(vertex: Vertex, box: Box, other: Box, way: int) -> Point:
    if vertex.kind == "fold":  # a fold is as tall as the picture: its side, at the height of the other end
        return box.side(way), other.bottom - 5
    inset = min(INSET, box.width / 4)
    return (box.right - inset if way > 0 else box.left + inset), box.bottom


def _cut(route: Route) -> tuple[Route, Box]:
    """End an arrow half-way at the mark of a cut."""
    start, (x, y) = route.points[0], middle_of(route.points)
    mark = Box(x, y + 2, *MARK)
    tip = mark.side(1 if start[0] > mark.x else -1), mark.y
    return Route((start, (start[0], tip[1] - 4), (start[0], tip[1]), tip)), mark


def _entry(target: Box, lane: float, side: float, *, beside: bool) -> list[Point]:
    """Come from a lane into a box: at its side, or from below where another box stands in between."""
    if beside:
        return [(lane, target.y), (side, target.y)]
    low, x = target.bottom + 8, target.x + (4 if lane > target.x else -4)
    return [(lane, low), (x, low), (x, target.bottom)]


def _loop(source: Box, target: Box, span: Span, way: int) -> Route:
    """Bring a state back into its own step, on the side to which time runs."""
    lane = (span.stop if way > 0 else span.start) + way * 18
    out, into = source.side(way), target.side(way)
    low = target.y + 6 if abs(source.y - target.y) < 1 else target.y
    return Route(rounded([(out, source.y - 6), (lane, source.y - 6), (lane, low), (into, low)]))


def _loop_back(source: Box, way: int) -> Route:
    """Walk back along the loop, in an arc under the state; the corner is left to the initial state's arrow."""
    reach = way * (source.width / 2 - 3 * INSET)
    points = hanging((source.x + reach, source.bottom), (source.x - reach, source.bottom), -reach * 0.2)
    return Route(points, (source.x - way * 46, source.bottom + ARC_DEPTH + 9))  # not across the lane of the arrow up
