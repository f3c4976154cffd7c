from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rnngraph.graph.build.graph import build
from rnngraph.graph.draw import Drawing, draw
from rnngraph.graph.layout.geometry import Box
from rnngraph.graph.layout.grid import arrange
from rnngraph.graph.model import Column, Edge, Row, Vertex
from rnngraph.trace.model import Trace
from tests.traces import CELLS, every_status, make_trace

EDGE = 0.6  # points; rounding to hundredths, and corners that are round


def vertices(drawing: Drawing) -> dict[str, Box]:
    return {shape.id: shape.box for shape in drawing.shapes if shape.role == "vertex"}


def overlap(one: Box, other: Box) -> bool:
    return (
        abs(one.x - other.x) < (one.width + other.width) / 2 - EDGE
        and abs(one.y - other.y) < (one.height + other.height) / 2 - EDGE
    )


def on_border(point: tuple[float, float], box: Box) -> bool:
    x, y = point
    inside = box.left - EDGE <= x <= box.right + EDGE and box.top - EDGE <= y <= box.bottom + EDGE
    at_side = min(abs(x - box.left), abs(x - box.right), abs(y - box.bottom), abs(y - box.top)) <= EDGE
    return inside and at_side


def check(drawing: Drawing) -> None:
    boxes = vertices(drawing)
    ordered = sorted(boxes.items(), key=lambda item: item[1].left)
    for number, (name, box) in enumerate(ordered):
        for other_name, other in ordered[number + 1 :]:
            if other.left >= box.right:
                break
            assert not overlap(box, other), (name, other_name)
    for curve in drawing.curves:
        assert (len(curve.points) - 1) % 3 == 0
        assert on_border(curve.points[0], boxes[curve.source]), (curve.id, curve.points[0], boxes[curve.source])
        assert on_border(curve.points[-1], boxes[curve.target]), (curve.id, curve.points[-1], boxes[curve.target])
    columns: dict[int, list[Box]] = {}
    for vertex in drawing.graph.vertices:
        if vertex.id in boxes and vertex.kind != "cut":
            columns.setdefault(vertex.column, []).append(boxes[vertex.id])
    for before, after in pairwise(sorted(columns)):
        assert max(box.right for box in columns[before]) < min(box.left for box in columns[after])
    frame = drawing.frame
    for shape in drawing.shapes:
        assert frame.left <= shape.box.left
        assert shape.box.right <= frame.right
        assert frame.top <= shape.box.top
        assert shape.box.bottom <= frame.bottom


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("timesteps", [1, 2, 13, 110])
def test_the_grid_holds_for_every_network(cell: str, layers: int, bidirectional: bool, timesteps: int) -> None:
    trace = make_trace(cell, timesteps, layers=layers, bidirectional=bidirectional)
    check(draw(trace, steps="all" if timesteps < 20 or layers == 1 else None))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("detail", ["layer", "op"])
@pytest.mark.parametrize("view", ["unrolled", "rolled"])
@pytest.mark.parametrize("graph", [False, True])
def test_the_grid_holds_at_every_detail(cell: str, bidirectional: bool, detail: str, view: str, graph: bool) -> None:
    trace = make_trace(cell, 15, layers=2, bidirectional=bidirectional, graph=graph)
    check(draw(trace, detail=detail, view=view))


@pytest.mark.parametrize("color", ["grad", "gain", "saturation", "activation"])
@pytest.mark.parametrize("backward", [False, True])
def test_the_grid_holds_with_every_status_and_colour(color: str, backward: bool) -> None:
    drawing = draw(every_status(), color=color, backward=backward)
    check(drawing)
    assert any(curve.kind == "backward" for curve in drawing.curves) == backward


@pytest.mark.parametrize("trace", [make_trace("tanh", 6), make_trace("tanh", 6, bidirectional=True)])
def test_forward_edges_go_up_or_along_and_never_through_a_box(trace: Trace) -> None:
    drawing = draw(trace)
    boxes = vertices(drawing)
    for curve in drawing.curves:
        if curve.kind != "forward":
            continue
        low, high = curve.points[0][1], curve.points[-1][1]
        assert low > high
        for name, box in boxes.items():
            if name not in (curve.source, curve.target):
                crossed = any(box.left < x < box.right and box.top < y < box.bottom for x, y in sampled(curve.points))
                assert not crossed, (curve.id, name)


@pytest.mark.parametrize("cell", ["tanh", "relu", "lstm", "gru"])
@pytest.mark.parametrize(("detail", "bidirectional"), [("step", False), ("step", True), ("op", False), ("op", True)])
def test_no_arrow_runs_through_a_box(cell: str, detail: str, bidirectional: bool) -> None:
    drawing = draw(make_trace(cell, 4, layers=2, bidirectional=bidirectional), detail=detail)
    boxes = vertices(drawing)
    names = list(boxes)
    x, y, wide, high = np.array([(box.x, box.y, box.width / 2 - 1, box.height / 2 - 1) for box in boxes.values()]).T
    for curve in drawing.curves:
        across, along = np.array(sampled(curve.points)).T[:, :, None]
        inside = ((abs(across - x) < wide) & (abs(along - y) < high)).any(axis=0)
        crossed = {names[number] for number in np.flatnonzero(inside)} - {curve.source, curve.target}
        assert not crossed, (curve.id, crossed)


def sampled(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    found = []
    for start in range(0, len(points) - 1, 3):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points[start : start + 4]
        for step in range(21):
            t = step / 20
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            found.append((a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy))
    return found


def test_time_runs_to_the_right_and_backward_arrows_against_the_recurrence() -> None:
    drawing = draw(make_trace("tanh", 5, bidirectional=True))
    heads = {shape.column: shape.box.x for shape in drawing.shapes if shape.role == "header"}
    assert [heads[column] for column in sorted(heads)] == sorted(heads.values())
    rows = {vertex.id: drawing.graph.rows[vertex.row].direction for vertex in drawing.graph.vertices}
    for curve in drawing.curves:
        if curve.kind == "backward":
            to_the_right = curve.points[-1][0] > curve.points[0][0]
            assert to_the_right == (rows[curve.source] == "reverse")


def test_input_is_at_the_bottom_and_loss_on_top() -> None:
    drawing = draw(make_trace("lstm", 3, layers=2))
    boxes = vertices(drawing)
    column = [vertex for vertex in drawing.graph.vertices if vertex.column == 1]
    heights = {drawing.graph.rows[vertex.row].name: boxes[vertex.id].y for vertex in column}
    assert sorted(heights, key=lambda name: -heights[name]) == ["embedding", "rnn.0", "rnn.1", "scores", "loss"]


def boxes_of(drawing: Drawing, column: int, row: str) -> dict[str, Box]:
    """The boxes of one row and column by the key of their part."""
    boxes = vertices(drawing)
    inside = [one for one in drawing.graph.vertices if one.column == column and drawing.graph.rows[one.row].name == row]
    return {one.key: boxes[one.id] for one in inside}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_boxes_of_one_level_share_the_width_of_their_step_evenly(bidirectional: bool) -> None:
    drawing = draw(make_trace("lstm", 3, bidirectional=bidirectional), detail="op")
    step, span = boxes_of(drawing, 2, "rnn"), drawing.sheet.grid.columns[2]
    shift = drawing.sheet.grid.shifts[2 if bidirectional else 1]
    for level in (("f", "i", "g", "o"), ("h·Wh", "x·Wx"), ("f*c", "i*g")):
        found = sorted((step[key] for key in level), key=lambda box: box.x)
        gaps = [after.left - before.right for before, after in pairwise(found)]
        assert len({round(box.width, 6) for box in found}) == 1
        assert gaps == pytest.approx([gaps[0]] * len(gaps))
        assert gaps[0] >= 8, "an arrow of its own width fits between"
        # centred in the step, with half a gap on either side
        start, stop = span.start + shift + abs(shift), span.stop + shift - abs(shift)
        assert found[0].left - start == pytest.approx(gaps[0] / 2)
        assert stop - found[-1].right == pytest.approx(gaps[0] / 2)


def test_a_box_is_narrower_only_where_an_arrow_goes_past_it() -> None:
    lstm = boxes_of(draw(make_trace("lstm", 3)), 2, "rnn")
    assert lstm["gates"].width == lstm["h"].width, "the ends of the arrow from the gates to h"
    (past,) = [
        curve
        for curve in draw(make_trace("lstm", 3)).curves
        if curve.source.endswith("_gates") and curve.target.endswith("_h") and curve.source.startswith("n2_")
    ]
    assert lstm["c"].right < past.points[0][0] < lstm["gates"].right
    assert lstm["c"].width < lstm["h"].width
    gru = boxes_of(draw(make_trace("gru", 3)), 2, "rnn")
    assert gru["gates"].width == gru["h"].width, "no arrow goes past a box"


def test_only_what_stands_between_in_the_same_row_is_narrower() -> None:
    """By hand: a → c goes past b; b → d leads to another row, so that it goes past nothing, however high d stands."""
    levels = {"a": (0, 0), "b": (0, 1), "c": (0, 2), "d": (1, 4)}
    boxes = tuple(Vertex(key, "part", key, row, 0, key, place=(level, 0, 1)) for key, (row, level) in levels.items())
    edges = tuple(Edge(f"{one}{other}", "forward", one, other) for one, other in ("ac", "bd"))
    rows = (Row("low", "track", 0, "forward"), Row("high", "track", 1, "forward"))
    columns = (Column("step", ((0, 1),)),)
    graph = replace(build(make_trace()), rows=rows, columns=columns, vertices=boxes, edges=edges, bands=())
    widths = {key: box.width for key, box in arrange(graph).boxes.items()}
    assert widths["a"] == widths["c"] == widths["d"]
    assert widths["a"] - widths["b"] >= 16, "room for the arrow on one side, and the same on the other"
