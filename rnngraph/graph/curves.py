"""The way of every arrow between boxes that are already placed: Bézier curves with explicit control points.

Each route is a chain of cubic pieces, `3k + 1` points, from the source's side to the tip at the target's side.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rnngraph.graph.geometry import Box, Point
from rnngraph.graph.layout import STAGGER, Grid, Span
from rnngraph.graph.model import Graph, Vertex
from rnngraph.trace.model import REVERSE

ARC_DEPTH = 28.0
INSET = 7.0  # how far from a box's corner an arrow back in time touches its lower side
LANE = 8.0  # distance of a vertical way beside the boxes
MARK = (28.0, 16.0)  # the size of the mark of a cut

Points = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The points of one arrow and the place of the middle of its label."""

    points: Points
    label: Point = (0.0, 0.0)


def route(graph: Graph, grid: Grid) -> tuple[dict[str, Route], dict[str, Box]]:
    """Return the route of every edge, and the boxes of the marks where a recurrence is cut."""
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    routes: dict[str, Route] = {}
    marks: dict[str, Box] = {}
    lanes: dict[tuple[int, int], int] = defaultdict(int)
    for edge in graph.edges:
        one, other = vertices[edge.source], vertices[edge.unreached or edge.target]
        source, target = grid.boxes[one.id], grid.boxes[other.id]
        if edge.kind != "forward" and one.column == other.column:
            span = grid.columns[one.column]
            way = -1 if graph.rows[one.row].direction == REVERSE else 1
            routes[edge.id] = _loop_back(source, way) if edge.kind == "backward" else _loop(source, target, span, way)
        elif edge.kind == "backward":
            rolled = graph.columns[one.column].kind == "loop" and other.kind == "initial"
            routes[edge.id] = _arc(one, other, source, target, label=0.7 if rolled else 0.5)
            if edge.cut:
                routes[edge.id], marks[edge.target] = _cut(routes[edge.id])
        elif edge.kind == "recurrent":
            routes[edge.id] = Route(_sideways(one, other, grid))
        elif one.row == other.row:
            routes[edge.id] = Route(_inside(one, other, grid, lanes))
        else:
            routes[edge.id] = Route(_upward(one, other, source, target, grid))
    return routes, marks


def straight(start: Point, stop: Point) -> Points:
    """Return the one cubic piece that is the line from `start` to `stop`."""
    (a, b), (c, d) = start, stop
    return start, (a + (c - a) / 3, b + (d - b) / 3), (a + (c - a) * 2 / 3, b + (d - b) * 2 / 3), stop


def rounded(corners: list[Point], radius: float = 7.0) -> Points:
    """Return the chain of cubic pieces along `corners`, with the turns rounded off."""
    chain: list[Point] = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        start, stop = _toward(corner, before, radius), _toward(corner, after, radius)
        chain += [*straight(chain[-1], start)[1:], corner, corner, stop]
    return (*chain, *straight(chain[-1], corners[-1])[1:])


def _toward(origin: Point, goal: Point, distance: float) -> Point:
    length = abs(goal[0] - origin[0]) + abs(goal[1] - origin[1])
    share = min(0.5, distance / length) if length else 0.0
    return origin[0] + (goal[0] - origin[0]) * share, origin[1] + (goal[1] - origin[1]) * share


def _arc(one: Vertex, other: Vertex, source: Box, target: Box, *, label: float) -> Route:
    """Hang an arrow back in time between the lower corners of two boxes, the label at a share of its way."""
    way = 1 if target.x > source.x else -1
    start, stop = _corner(one, source, target, way), _corner(other, target, source, -way)
    low = min(start[1], stop[1]) - ARC_DEPTH
    lean = (stop[0] - start[0]) * 0.2
    points = (start, (start[0] + lean, low - 6), (stop[0] - lean, low - 6), stop)
    return Route(points, (start[0] + label * (stop[0] - start[0]), low - 9))


def _corner(vertex: Vertex, box: Box, other: Box, way: int) -> Point:
    if vertex.kind == "fold":  # a fold is as tall as the picture: its side, at the height of the other end
        return box.right if way > 0 else box.left, other.bottom + 5
    inset = min(INSET, box.width / 4)
    return (box.right - inset if way > 0 else box.left + inset), box.bottom


def _cut(whole: Route) -> tuple[Route, Box]:
    """End an arrow half-way at the mark of a cut."""
    start, first, second, stop = whole.points
    middle = Box(
        (start[0] + 3 * first[0] + 3 * second[0] + stop[0]) / 8,
        (start[1] + 3 * first[1] + 3 * second[1] + stop[1]) / 8 - 2,
        *MARK,
    )
    tip = middle.right if start[0] > middle.x else middle.left, middle.y
    return Route((start, (start[0], tip[1] + 4), (start[0], tip[1]), tip)), middle


def _sideways(one: Vertex, other: Vertex, grid: Grid) -> Points:
    """Run along time: straight where the heights agree, else down a lane beside the source's step."""
    source, target = grid.boxes[one.id], grid.boxes[other.id]
    way = 1 if target.x > source.x else -1
    out, into = (source.right, target.left) if way > 0 else (source.left, target.right)
    if one.kind == "fold":
        return straight((out, target.y), (into, target.y))
    if other.kind == "fold" or abs(source.y - target.y) < 1:
        return straight((out, source.y), (into, source.y))
    span, shift = grid.columns[one.column], grid.shifts[one.row]
    edge = span.stop - abs(shift) + shift if way > 0 else span.start + abs(shift) + shift
    if one.kind == "initial":
        edge = out
    # Each state has its own lane; it leaves a little above the middle, where a straight arrow may leave.
    lane = edge + way * (2 * LANE if one.id.endswith("_c") else LANE)
    outermost = other.place[1] == (0 if way > 0 else other.place[2] - 1)
    return rounded([(out, source.y + 6), (lane, source.y + 6), *_entry(target, lane, into, beside=outermost)])


def _entry(target: Box, lane: float, side: float, *, beside: bool) -> list[Point]:
    """Come from a lane into a box: at its side, or from below where another box stands in between."""
    if beside:
        return [(lane, target.y), (side, target.y)]
    low, x = target.bottom - 8, target.x + (4 if lane > target.x else -4)
    return [(lane, low), (x, low), (x, target.bottom)]


def _inside(one: Vertex, other: Vertex, grid: Grid, lanes: dict[tuple[int, int], int]) -> Points:
    """Go up inside a step: straight to the next level, past what is between to a higher one."""
    source, target = grid.boxes[one.id], grid.boxes[other.id]
    if other.place[0] - one.place[0] <= 1:
        return straight((source.x, source.top), (target.x, target.bottom))
    if one.place[2] == other.place[2] == 1:
        x = min(source.right, target.right) - LANE
        return straight((x, source.top), (x, target.bottom))
    # Beside everything; each further way of the same step a little further out.
    number = lanes[one.row, one.column]
    lanes[one.row, one.column] += 1
    shift = grid.shifts[one.row]
    lane = grid.columns[one.column].stop - abs(shift) + shift + 3 + 4 * (number % 3)
    entry = _entry(target, lane, target.right, beside=other.place[1] == other.place[2] - 1)
    if one.place[1] == one.place[2] - 1:
        return rounded([(source.right, source.y), (lane, source.y), *entry])
    over = source.top + 7
    return rounded([(source.x, source.top), (source.x, over), (lane, over), *entry])


def _upward(one: Vertex, other: Vertex, source: Box, target: Box, grid: Grid) -> Points:
    """Go up from row to row; past the other direction of the same layer on the side that it leaves free."""
    blocks = [row for row in range(one.row + 1, other.row) if grid.shifts[row]]
    if other.row - one.row > 1 + len(blocks):
        lane = max(source.right, target.right) + LANE + 6
        return rounded([(source.right, source.y), (lane, source.y), (lane, target.y), (target.right, target.y)])
    span = grid.columns[one.column]
    side = 0.0
    if blocks:  # a forward direction leaves its left side free, a reverse one its right
        side = span.start + STAGGER / 2 if grid.shifts[one.row] < 0 else span.stop - STAGGER / 2
    start = min(max(side or target.x, source.left + 8), source.right - 8)
    stop = min(max(side or source.x, target.left + 8), target.right - 8)
    if not side:
        return straight((start if abs(start - target.x) < 1 else source.x, source.top), (target.x, target.bottom))
    corners = [(start, source.top), (side, source.top + 8), (side, target.bottom - 12), (stop, target.bottom)]
    return straight(corners[0], corners[-1]) if start == side == stop else rounded(corners)


def _loop(source: Box, target: Box, span: Span, way: int) -> Route:
    """Bring a state back into its own step, on the side to which time runs."""
    lane = (span.stop if way > 0 else span.start) + way * 18
    out, into = (source.right, target.right) if way > 0 else (source.left, target.left)
    low = target.y - 6 if abs(source.y - target.y) < 1 else target.y
    return Route(rounded([(out, source.y + 6), (lane, source.y + 6), (lane, low), (into, low)]))


def _loop_back(source: Box, way: int) -> Route:
    """Walk back along the loop, in an arc under the state; the corner is left to the initial state's arrow."""
    reach = way * (source.width / 2 - 3 * INSET)
    low = source.bottom - ARC_DEPTH
    start, stop = (source.x + reach, source.bottom), (source.x - reach, source.bottom)
    points = (start, (start[0] - reach * 0.2, low - 6), (stop[0] + reach * 0.2, low - 6), stop)
    return Route(points, (source.x - way * 46, low - 9))  # beside the arrow that goes up, not across the lane
