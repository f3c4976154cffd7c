"""Put a graph on a grid: time to the right, its rows, which it counts from below, upwards. Linear in what is shown.

In comes a `Graph`, out go a box a vertex and the extent of every column and row; the arrows are in `routes`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rnngraph.graph.layout.geometry import Box, Span
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.model import Graph, Row, Vertex

LABEL = 12.5  # font size inside boxes; a picture is also read at half its size
MARK = 10.0  # font size of a box with a mark
STEP_WIDTH = 80.0  # of a box alone in its step, at least and at most
MOST_WIDTH = 132.0
PART_WIDTH = 66.0
STAGGER = 20.0  # how far the two directions of a layer are shifted apart, so that lines can pass both
HEIGHTS = {"input": 28.0, "op": 28.0, "loss": 42.0, "gate": 32.0, "state": 40.0, "part": 26.0, "layer": 48.0,
           "initial": 30.0, "cut": 16.0}  # fmt: skip
PASS = 30.0  # how much narrower a box is that an arrow goes past
LEVEL_GAP = 24.0
ARC_GAP = 54.0  # room for a backward arrow and its label under a state
ROW_GAP = 30.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Positions of everything that is a box, with the spans of columns (x) and rows (y)."""

    boxes: dict[str, Box]
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]
    shifts: tuple[float, ...]  # a row's shift to the left (-) or right (+), where two directions share a layer
    bottom: float  # of the lowest row, with the room for its arrows back


def arrange(
    graph: Graph, *, backward: bool = True, least: float = STEP_WIDTH, left: float = 0.0, top: float = 0.0
) -> Grid:
    """Compute every vertex's box, a step at least as wide as `least`; `backward` leaves room for the arrows back."""
    shifts = _shifts(graph.rows)
    passed = _passed(graph)
    limit = _step_width(graph, passed, least)
    columns = _column_spans(graph, limit, any(shifts), left)
    # An initial state stands beside its state's box, where there is one.
    beside = {vertex.state: vertex.place[0] for vertex in graph.vertices if vertex.kind in {"state", "layer"}}
    level_of = {vertex.id: beside.get(vertex.state, vertex.place[0]) for vertex in graph.vertices}
    rows, levels, bottom = _row_spans(graph, level_of, backward, top)
    boxes: dict[str, Box] = {}
    for vertex in graph.vertices:
        span, row = columns[vertex.column], vertex.row
        if vertex.kind == "fold":
            high, low = rows[-1].start, rows[0].stop
            boxes[vertex.id] = Box(span.middle, (high + low) / 2, span.size, low - high)
        elif vertex.kind != "cut":
            box = _box(vertex, span, levels[row][level_of[vertex.id]], shifts[row], limit=limit, staggered=any(shifts))
            narrower = PASS if vertex.id in passed else 0.0
            boxes[vertex.id] = Box(box.x, box.y, box.width - narrower, box.height)
    return Grid(boxes, columns, rows, shifts, bottom)


def _passed(graph: Graph) -> set[str]:
    """Find the boxes beside which an arrow goes up from a lower to a higher level of the same step."""
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    steps: dict[tuple[int, int], list[Vertex]] = defaultdict(list)
    for vertex in graph.vertices:
        if vertex.place[2] == 1:
            steps[vertex.row, vertex.column].append(vertex)
    passed: set[str] = set()
    for edge in graph.edges:
        one, other = vertices[edge.source], vertices[edge.target]
        if edge.kind == "forward" and one.row == other.row and one.place[2] == other.place[2] == 1:
            between = range(one.place[0] + 1, other.place[0])
            passed |= {vertex.id for vertex in steps[one.row, one.column] if vertex.place[0] in between}
    return passed


def _shifts(rows: tuple[Row, ...]) -> tuple[float, ...]:
    """Shift the directions of one layer apart, so that each can be reached past the other."""
    directions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.kind == "track":
            directions[row.name].add(row.direction)
    return tuple(
        0.0
        if row.kind != "track" or len(directions[row.name]) < 2
        else (STAGGER / 2 if row.direction == "reverse" else -STAGGER / 2)
        for row in rows
    )


def _step_width(graph: Graph, passed: set[str], least: float) -> float:
    """Return the width of a box that stands alone in its step: as narrow as may be, so that text can be large."""
    needs = (
        max(width_of(vertex.label, LABEL), width_of(vertex.mark, MARK)) + (PASS if vertex.id in passed else 0)
        for vertex in graph.vertices
        if vertex.place[2] == 1 and vertex.kind in {"state", "gate", "part", "op", "input"}
    )
    return max(least, min(MOST_WIDTH, max(needs, default=0.0) + 10))


def _column_spans(graph: Graph, limit: float, staggered: bool, left: float) -> tuple[Span, ...]:
    widths: dict[int, float] = {}
    parts = max((vertex.place[2] for vertex in graph.vertices), default=1)
    inner = max(limit, parts * PART_WIDTH - 8)
    if any(vertex.kind == "layer" for vertex in graph.vertices):
        inner = max(width_of(vertex.label, LABEL) + 20 for vertex in graph.vertices if vertex.kind == "layer")
    for vertex in graph.vertices:
        if vertex.kind == "fold":
            widths[vertex.column] = max(110.0, width_of(vertex.label, LABEL) + 20)
    gated = any(vertex.kind in {"gate", "part"} for vertex in graph.vertices)
    gap = 60.0 if gated or parts > 1 else 46.0
    spans, x = [], left
    for number, column in enumerate(graph.columns):
        width = widths.get(number, 50.0 if column.kind == "initial" else inner + (STAGGER if staggered else 0))
        margin = gap + (60.0 if column.kind == "loop" else 0.0)  # a loop's arrows run beside its box
        if column.kind == "loop":
            x += 60.0
        spans.append(Span(x, x + width))
        x += width + margin
    return tuple(spans)


def _row_spans(
    graph: Graph, level_of: dict[str, int], backward: bool, top: float
) -> tuple[tuple[Span, ...], list[dict[int, float]], float]:
    """Stack the rows, and in a row its levels, each as high as its tallest box. Give both, and where they end."""
    heights: list[dict[int, float]] = [{} for _ in graph.rows]
    arcs: set[tuple[int, int]] = set()
    for vertex in graph.vertices:
        row, level = vertex.row, level_of[vertex.id]
        if vertex.kind not in {"fold", "cut"}:
            heights[row][level] = max(heights[row].get(level, 0.0), HEIGHTS[vertex.kind])
        if vertex.kind in {"state", "layer"} and backward:
            arcs.add((row, level))
    spans: list[Span] = []
    levels: list[dict[int, float]] = []
    y = top
    for row, found in reversed(list(enumerate(heights))):
        middles: dict[int, float] = {}
        start = stop = y
        for level in sorted(found, reverse=True):
            middles[level], stop = y + found[level] / 2, y + found[level]
            gap = LEVEL_GAP if level > min(found) else ROW_GAP if row else 0.0
            y = stop + max(gap, ARC_GAP if (row, level) in arcs else 0.0)
        spans.append(Span(start, stop))
        levels.append(middles)
    return tuple(spans[::-1]), levels[::-1], y


def _box(vertex: Vertex, span: Span, middle: float, shift: float, *, limit: float, staggered: bool) -> Box:
    _, rank, of = vertex.place
    height = HEIGHTS[vertex.kind]
    width = span.size - 2 * abs(shift)
    if vertex.kind == "initial":
        return Box(span.middle, middle, 44.0, height)
    if vertex.kind == "loss":
        return Box(span.middle, middle, min(span.size, STEP_WIDTH) * 0.95, height)
    if vertex.kind in {"op", "input"}:
        return Box(span.middle, middle, span.size if staggered else min(span.size, limit), height)
    if of == 1:
        return Box(span.middle + shift, middle, width if vertex.kind == "layer" else min(width, limit), height)
    pitch = width / of
    return Box(span.middle + shift - width / 2 + pitch * (rank + 0.5), middle, pitch - 8, height)
