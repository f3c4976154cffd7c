"""From a graph to a sheet: lay out and style."""

from __future__ import annotations

from rnngraph.graph.layout.geometry import Box
from rnngraph.graph.layout.grid import STEP_WIDTH, arrange
from rnngraph.graph.layout.routes import find_routes
from rnngraph.graph.model import Graph
from rnngraph.graph.sheet import Curve, Shape, Sheet
from rnngraph.graph.style.bands import bands
from rnngraph.graph.style.boxes import edge_curve, vertex_shape
from rnngraph.graph.style.headings import GUTTER, headers, legend, row_names, title
from rnngraph.graph.style.palette import choose_style

MARGIN = 14.0


def compose(
    graph: Graph, *, color: str = "grad", backward: bool = True, least: float = STEP_WIDTH, theme: str = "light"
) -> Sheet:
    """Lay a graph out, with steps at least as wide as `least`, and style it."""
    style = choose_style(graph, color)
    grid = arrange(graph, backward=backward, least=least)
    routes, marks = find_routes(graph, grid)
    boxes = grid.boxes | (marks if backward else {})
    left = min(span.start for span in grid.columns) - 12
    if any(column.kind == "loop" for column in graph.columns):
        left -= 40
    lines, bottom = bands(graph, grid, style, left)
    shapes: tuple[Shape, ...] = (
        *legend(graph, style, left - GUTTER, grid.rows[-1].stop + 22, backward=backward),
        *title(graph, grid, left),
        *row_names(graph, grid, left),
        *(vertex_shape(vertex, boxes[vertex.id], style) for vertex in graph.vertices if vertex.id in boxes),
        *headers(graph, grid),
        *lines,
    )
    curves = tuple(
        edge_curve(edge, routes[edge.id], style) for edge in graph.edges if backward or edge.kind != "backward"
    )
    return Sheet(
        shapes, curves, _frame(shapes, curves, bottom), grid, title=graph.title, description=graph.subtitle,
        theme=theme,
    )  # fmt: skip


def _frame(shapes: tuple[Shape, ...], curves: tuple[Curve, ...], bottom: float) -> Box:
    """Return the rectangle that holds everything, with a margin."""
    left = min(shape.box.left for shape in shapes) - MARGIN
    right = max(*(shape.box.right for shape in shapes), *(x for curve in curves for x, _ in curve.points)) + MARGIN
    top = max(shape.box.top for shape in shapes) + MARGIN
    low = min(bottom, *(shape.box.bottom for shape in shapes)) - MARGIN
    return Box((left + right) / 2, (low + top) / 2, right - left, top - low)
