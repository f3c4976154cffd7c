"""From a trace to a drawing in one call: build and fold, lay out, style."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnngraph.errors import InputError
from rnngraph.graph.build import build
from rnngraph.graph.curves import route
from rnngraph.graph.drawing import Curve, Drawing, Shape
from rnngraph.graph.furniture import bands, headers, row_names
from rnngraph.graph.furniture import title as title_shapes
from rnngraph.graph.geometry import Box
from rnngraph.graph.layout import STEP_WIDTH, place
from rnngraph.graph.model import Graph
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.style import choose_style, edge_curve, vertex_shape
from rnngraph.trace.model import Trace

MARGIN = 14.0


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn: see `draw`."""

    steps: Steps = None
    detail: str = "step"
    view: str = "unrolled"
    color: str = "grad"
    backward: bool = True
    title: str | None = None


def draw(
    trace: Trace,
    *,
    steps: Steps = None,
    detail: str = "step",
    view: str = "unrolled",
    color: str = "grad",
    backward: bool = True,
    title: str | None = None,
) -> Drawing:
    """Draw the unrolled graph of a trace.

    Args:
        trace: what was recorded.
        steps: which timesteps to show, such as `"10:20"`, `"0:3,97:100"` or `"all"`; without it, a long
            sequence keeps its first and last steps and folds the rest.
        detail: `"layer"`, `"step"` or `"op"`.
        view: `"unrolled"`, or `"rolled"` for one step and its loop.
        color: what the colours show: `"grad"`, `"gain"`, `"saturation"` or `"activation"`.
        backward: draw the arrows back in time.
        title: instead of the model's description.

    Raises:
        InputError: an option that is not one of its choices, steps outside the trace, or a trace without any.
    """
    return draw_with(trace, Options(steps, detail, view, color, backward, title))


def draw_with(trace: Trace, options: Options, *, whole: bool = True) -> Drawing:
    """Draw as `draw` does, from options in one value; not `whole`, fold the middle whatever `options.steps` says.

    A renderer with a layout of its own takes the steps from the drawing's options and its trace.
    """
    if not isinstance(trace, Trace):
        raise InputError(f"a {type(trace).__name__} cannot be drawn; pass the trace that rnngraph.record returned.")
    if options.title is not None and not isinstance(options.title, str):
        raise InputError(f"the title is {options.title!r}; pass text.")
    steps = options.steps if whole or not trace.timesteps else default_or_checked(options.steps, trace.timesteps)
    graph = build(trace, steps, detail=options.detail, view=options.view, title=options.title)
    drawing = assemble(graph, color=options.color, backward=options.backward)
    return replace(drawing, trace=trace, options=options)


def default_or_checked(steps: Steps, timesteps: int) -> Steps:
    """Return None, the default fold, once `steps` is known to lie inside the trace."""
    parse_steps(steps, timesteps)
    return None


def assemble(graph: Graph, *, color: str = "grad", backward: bool = True, least: float = STEP_WIDTH) -> Drawing:
    """Lay a graph out, with steps at least as wide as `least`, and style it."""
    style = choose_style(graph, color)
    grid = place(graph, backward=backward, least=least)
    routes, marks = route(graph, grid)
    boxes = grid.boxes | (marks if backward else {})
    left = min(span.start for span in grid.columns) - 12
    if any(column.kind == "loop" for column in graph.columns):
        left -= 40
    lines, bottom = bands(graph, grid, style, left)
    shapes: tuple[Shape, ...] = (
        *title_shapes(graph, grid, style, left, backward=backward),
        *row_names(graph, grid, left),
        *(vertex_shape(vertex, boxes[vertex.id], graph, style) for vertex in graph.vertices if vertex.id in boxes),
        *headers(graph, grid),
        *lines,
    )
    curves = tuple(
        edge_curve(edge, routes[edge.id], style) for edge in graph.edges if backward or edge.kind != "backward"
    )
    return Drawing(graph, shapes, curves, _frame(shapes, curves, bottom))


def _frame(shapes: tuple[Shape, ...], curves: tuple[Curve, ...], bottom: float) -> Box:
    """Return the rectangle that holds everything, with a margin."""
    left = min(shape.box.left for shape in shapes) - MARGIN
    right = max(shape.box.right for shape in shapes)
    right = max(right, *(x for curve in curves for x, _ in curve.points), right) + MARGIN
    top = max(shape.box.top for shape in shapes) + MARGIN
    low = min(bottom, *(shape.box.bottom for shape in shapes)) - MARGIN
    return Box((left + right) / 2, (low + top) / 2, right - left, top - low)
