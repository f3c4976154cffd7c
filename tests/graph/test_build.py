from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnngraph.errors import InputError
from rnngraph.graph.build.graph import build
from rnngraph.graph.draw import Drawing, Options, draw
from rnngraph.graph.model import Graph
from rnngraph.trace.magnitudes import Magnitudes, Status
from tests.graph_table import Table
from tests.traces import CELLS, every_status, make_trace, record_layer, trace_of, with_state, with_status


def carried(graph: Graph, source: str, target: str) -> object:
    (edge,) = [
        edge for edge in graph.edges if edge.kind == "backward" and (edge.source, edge.target) == (source, target)
    ]
    return edge.carried


def state_vertex(graph: Graph, timestep: int, state: str) -> str:
    (column,) = [n for n, one in enumerate(graph.columns) if one.kind == "step" and one.first == timestep]
    (vertex,) = [one for one in graph.vertices if one.column == column and one.state == state and one.kind == "state"]
    return vertex.id


def test_rows_are_stacked_as_the_network_computes_them() -> None:
    graph = build(make_trace("tanh", 4, layers=2, bidirectional=True))
    assert [(row.name, row.direction) for row in graph.rows] == [
        ("embedding", ""), ("rnn.0", "forward"), ("rnn.0", "reverse"), ("concatenate", ""),
        ("rnn.1", "forward"), ("rnn.1", "reverse"), ("concatenate", ""), ("scores", ""), ("loss", ""),
    ]  # fmt: skip


def test_without_a_recorded_graph_the_rows_come_from_the_states() -> None:
    graph = build(make_trace("lstm", 4, layers=2, bidirectional=True, graph=False))
    assert [row.name for row in graph.rows] == [
        "x", "rnn.0", "rnn.0", "concat", "rnn.1", "rnn.1", "concat", "loss",
    ]  # fmt: skip
    assert {edge.kind for edge in graph.edges} == {"forward", "recurrent", "backward"}


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_walk_back_carries_the_norm_of_the_step_it_reaches(direction: str) -> None:
    trace = make_trace("tanh", 5, bidirectional=True)
    number = 0 if direction == "forward" else 1
    state = trace.states[number]
    graph = build(trace)
    for early in range(4):
        reached, left = (early, early + 1) if direction == "forward" else (early + 1, early)
        found = carried(graph, state_vertex(graph, left, state.name), state_vertex(graph, reached, state.name))
        assert found.high == state.carried.value[reached]  # type: ignore[attr-defined]


def test_the_walk_ends_at_the_initial_state() -> None:
    trace = make_trace("lstm", 3)
    graph = build(trace)
    initial = {vertex.state: vertex for vertex in graph.vertices if vertex.kind == "initial"}
    assert set(initial) == {"rnn.c", "rnn.h"}
    for state in trace.states:
        found = carried(graph, state_vertex(graph, 0, state.name), initial[state.name].id)
        assert found.high == float(state.initial.value)  # type: ignore[attr-defined]


def test_an_unobserved_initial_state_is_not_drawn() -> None:
    graph = build(with_state(make_trace("tanh", 3), initial=Magnitudes.unobserved()))
    assert not [vertex for vertex in graph.vertices if vertex.kind == "initial"]


@pytest.mark.parametrize("cell", CELLS)
def test_no_vertex_is_a_hub(cell: str) -> None:
    graph = build(make_trace(cell, 40, layers=2), "all")
    degrees = Counter(end for edge in graph.edges for end in (edge.source, edge.target))
    assert max(degrees.values()) <= 9


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("detail", ["layer", "step", "op"])
@pytest.mark.parametrize("view", ["unrolled", "rolled"])
def test_every_edge_joins_two_vertices(cell: str, detail: str, view: str) -> None:
    graph = build(make_trace(cell, 20, layers=2, bidirectional=True), detail=detail, view=view)
    ids = [vertex.id for vertex in graph.vertices]
    assert len(set(ids)) == len(ids)
    assert len({edge.id for edge in graph.edges}) == len(graph.edges)
    assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= set(ids)


def test_detail_grows_from_layer_to_op() -> None:
    trace = make_trace("lstm", 8)
    counts = [len(build(trace, detail=detail).vertices) for detail in ("layer", "step", "op")]
    assert counts[0] < counts[1] < counts[2]
    assert {"σ i", "σ f", "σ o", "tanh g"} <= {vertex.label for vertex in build(trace, detail="op").vertices}


def test_a_recorded_op_graph_is_shown_as_recorded() -> None:
    trace = make_trace("custom", 3)
    step = [vertex for vertex in build(trace, detail="op").vertices if vertex.column == 2 and vertex.row == 1]
    assert [vertex.label for vertex in step] == ["matmul", "add", "tanh  h"]
    assert step[-1].nodes == (int(trace.states[0].nodes[1]),)


def test_a_fold_says_how_many_steps_and_the_range() -> None:
    trace = make_trace("tanh", 100, decay=0.5)
    graph = build(trace)
    (fold,) = [vertex for vertex in graph.vertices if vertex.kind == "fold"]
    # the gradient at t is 2 · 0.5^(99 - t); the fold hides 5 … 94
    assert fold.label.split("\n") == ["90 steps", "t=5 … 94", "rnn.h  1e-28 … 0.062"]
    assert pytest.approx(1e-28, rel=0.02) == 2 * 0.5**94
    assert [column.count for column in graph.columns if column.kind == "fold"] == [90]


def test_the_fold_depends_on_the_length_only_in_its_numbers() -> None:
    short, long = (build(make_trace("lstm", steps)) for steps in (50, 5000))
    assert len(short.vertices) == len(long.vertices)
    assert len(short.edges) == len(long.edges)


def test_a_gap_of_one_step_is_drawn() -> None:
    graph = build(make_trace("tanh", 9), "0:4,5:9")
    assert [column.kind for column in graph.columns] == ["initial"] + ["step"] * 9


def test_a_rolled_view_has_one_step_and_its_loop() -> None:
    graph = build(make_trace("tanh", 30), view="rolled")
    assert [column.kind for column in graph.columns] == ["initial", "loop"]
    loops = [edge for edge in graph.edges if edge.source == edge.target]
    assert sorted(edge.kind for edge in loops) == ["backward", "recurrent"]
    assert graph.columns[1].count == 30


def test_a_cut_ends_the_walk_at_a_mark() -> None:
    graph = build(every_status())
    (edge,) = [edge for edge in graph.edges if edge.cut]
    assert edge.source == state_vertex(graph, 5, "rnn.h")
    assert edge.unreached == state_vertex(graph, 4, "rnn.h")
    assert {vertex.id: vertex.kind for vertex in graph.vertices}[edge.target] == "cut"


@pytest.mark.parametrize("hidden", [False, True])
def test_the_first_nonfinite_node_is_marked_also_inside_a_fold(hidden: bool) -> None:
    trace = make_trace("tanh", 40)
    node = int(trace.states[0].nodes[20 if hidden else 2])
    trace = replace(trace, graph=replace(trace.graph, first_nonfinite_forward=node))
    graph = build(trace)
    (marked,) = [vertex for vertex in graph.vertices if vertex.first_nonfinite]
    assert marked.kind == ("fold" if hidden else "state")
    assert marked.label.endswith("\nNaN or infinity first at t=20") == hidden
    assert f"t={20 if hidden else 2}" in graph.subtitle


def test_statuses_reach_the_edges() -> None:
    graph = build(every_status())
    found = [edge.carried.status for edge in graph.edges if edge.carried is not None]
    assert set(found) == set(Status)


def test_a_loss_at_the_last_step_stands_there_alone() -> None:
    trace = make_trace("tanh", 6, graph=False, loss_steps=np.full(6, np.nan))
    immediate = with_status(trace.states[0].immediate, dict.fromkeys(range(5), Status.ZERO))
    graph = build(with_state(trace, immediate=immediate))
    assert [vertex.label for vertex in graph.vertices if vertex.kind == "loss"] == ["L5"]


def test_where_no_gradient_was_measured_a_known_part_of_the_loss_is_a_loss() -> None:
    parts = np.array([np.nan, 0.5, np.nan, 0.25])
    trace = with_state(make_trace("tanh", 4, loss_steps=parts), immediate=Magnitudes.unobserved((4,)))
    graph = build(trace)
    steps = [graph.columns[vertex.column].first for vertex in graph.vertices if vertex.kind == "loss"]
    assert steps == [1, 3]


def test_bands_hold_every_weight_once() -> None:
    trace = make_trace("gru", 30)
    graph = build(trace)
    assert [band.name for band in graph.bands] == ["rnn.h", "rnn.Wh", "scores.W"]
    found = graph.bands[1].summaries
    assert found[0] is None  # no weight acts at the initial state
    assert found[1] is not None
    assert found[1].high == trace.parameters[0].steps.value[0]
    assert found[6] is not None
    assert found[6].counts[0] == 20


@pytest.mark.parametrize(("option", "value"), [("detail", "gate"), ("view", "flat")])
def test_unknown_options_are_refused_with_the_choices(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{option} '{value}' is unknown; choose"):
        Drawing(make_trace(), replace(Options(), **{option: value}))


def test_a_trace_without_timesteps_is_refused() -> None:
    trace = make_trace("tanh", 3)
    with pytest.raises(InputError, match="no timesteps"):
        draw(replace(trace, states=(), timesteps=0))


@pytest.mark.parametrize(
    ("cell", "share", "mark"),
    [("tanh", 0.49, ""), ("tanh", 0.5, "saturated 50 %"), ("relu", 0.5, ""), ("relu", 0.8, "inactive 80 %"),
     ("lstm", 0.9, "saturated 90 %"), ("tanh", np.nan, "")],
)  # fmt: skip
def test_saturated_steps_are_marked(cell: str, share: float, mark: str) -> None:
    trace = make_trace(cell, 3)
    trace = with_state(trace, len(trace.states) - 1, saturated=np.array([0.0, share, 0.0]))
    graph = build(trace)
    assert [vertex.mark for vertex in graph.vertices if vertex.mark] == ([mark] if mark else [])


def test_the_gain_over_the_first_step_is_measured_from_its_ends() -> None:
    graph = build(make_trace("tanh", 4, decay=0.1))
    (edge,) = [edge for edge in graph.edges if edge.kind == "backward" and "n0" in edge.target.split("_")]
    # the initial state's gradient is 0.1^4, that of the first step 2 · 0.1^3
    assert edge.gain is not None
    assert edge.gain.high == pytest.approx(0.05, rel=1e-12)


def test_a_loss_without_a_row_of_its_own_comes_from_what_nothing_else_takes() -> None:
    """An encoder that gives a decoder its first state does not feed the loss, nor does an input that nobody takes."""
    table = Table()
    table.add("input", name="mask", shape="(3, 4, 1)")
    source, target = (table.add("input", name=name, shape="(3, 4, 4)") for name in ("source", "target"))
    encoder, read = record_layer(table, "tanh", 0, "forward", source, 4, 0.5, stem="enc")
    start = table.add("index", read, shape="(3, 4)")
    decoder, written = record_layer(table, "tanh", 0, "forward", target, 4, 0.5, stem="dec", start=start)
    table.add("multiply", written, written, shape="(3, 4, 4)")
    trace = trace_of([*encoder, *decoder], graph=table.trace(), loss_steps=np.full(4, 0.1))
    graph = build(trace)
    assert [row.name for row in graph.rows] == ["source", "target", "enc", "dec", "multiply", "loss"]
    rows = {one.id: graph.rows[one.row].name for one in graph.vertices}
    assert {rows[edge.source] for edge in graph.edges if rows[edge.target] == "loss"} == {"multiply"}
