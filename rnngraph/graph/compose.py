"""From a graph to a sheet: lay out and style."""

from __future__ import annotations

from dataclasses import replace

from rnngraph.graph.layout.geometry import Span, one_line
from rnngraph.graph.layout.grid import STEP_WIDTH, arrange
from rnngraph.graph.layout.routes import find_routes
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.paper import Paper
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.sizes import WIDE
from rnngraph.graph.style.bands import GUTTER, draw_bands
from rnngraph.graph.style.boxes import edge_curve, summed_shape
from rnngraph.graph.style.legend import legend
from rnngraph.graph.style.palette import choose_style


def compose(
    graph: Graph, *, color: str = "grad", backward: bool = True, least: float = STEP_WIDTH, theme: str = "light"
) -> Sheet:
    """Lay a graph out, with steps at least as wide as `least`, and style it."""
    style, paper = choose_style(graph, color), Paper(WIDE, theme)
    paper.head(graph.title, "", graph.subtitle)
    paper.y += 14
    paper.key(list(legend(graph, style, backward=backward)))
    left = paper.margin + GUTTER + (52 if any(column.kind == "loop" for column in graph.columns) else 12)
    grid = arrange(graph, backward=backward, least=least, left=left, top=paper.y + 24)
    routes, marks = find_routes(graph, grid)
    boxes = grid.boxes | (marks if backward else {})
    both = any(row.direction == "reverse" for row in graph.rows)
    for number, (row, span) in enumerate(zip(graph.rows, grid.rows, strict=True)):
        note = row.direction if both else ""
        paper.row_name(f"row{number}", one_line(row.name), note, span.middle, paper.margin + GUTTER - 10)
    paper.shapes += [summed_shape(vertex, boxes[vertex.id], style) for vertex in graph.vertices if vertex.id in boxes]
    paper.y = grid.bottom + 17
    rooms = [_wider(column, span) for column, span in zip(graph.columns, grid.columns, strict=True)]
    paper.column_names(graph.columns, rooms, [_word(column) for column in graph.columns])
    paper.y += 35
    draw_bands(paper, graph, grid, style)
    paper.curves += [
        edge_curve(edge, routes[edge.id], style) for edge in graph.edges if backward or edge.kind != "backward"
    ]
    drawn = [shape.box.right for shape in paper.shapes] + [x for curve in paper.curves for x, _ in curve.points]
    paper.width = max(drawn) + paper.margin
    return replace(paper.finish(graph.title, graph.subtitle), grid=grid)


def _wider(column: Column, span: Span) -> Span:
    """Give a name the room between two columns, too: beside a loop there is more of it."""
    more = 60 if column.kind == "loop" else 15
    return Span(span.start - more, span.stop + more)


def _word(column: Column) -> str:
    padding = "(padding)" if column.kind == "step" and not column.valid else ""
    return f"{one_line(column.label or '')} {padding}".strip()
