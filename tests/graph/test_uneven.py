"""Recurrences of their own length and batch in one picture: each ends where it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from rnngraph.graph.build.graph import build
from rnngraph.graph.draw import draw
from rnngraph.graph.model import Graph
from tests.graph.seen_traces import with_lags
from tests.graph.test_layout import check
from tests.uneven_traces import LONG, SHORT, uneven_trace

TRACE = uneven_trace()


def steps_of(graph: Graph, state: str) -> list[int]:
    found = [one for one in graph.vertices if one.state == state and one.kind in {"state", "layer"}]
    return [graph.columns[one.column].first for one in found]


def backward(graph: Graph, state: str) -> list[tuple[str, str, Any]]:
    """The walk back of a state: kind and timestep of both ends, and what is carried."""
    vertices = {one.id: one for one in graph.vertices}

    def name(vertex: str) -> str:
        one = vertices[vertex]
        return one.kind if one.kind in {"initial", "fold"} else f"t={graph.columns[one.column].first}"

    edges = [one for one in graph.edges if one.kind == "backward" and one.state == state]
    return [(name(one.source), name(one.target), one.carried.high if one.carried else None) for one in edges]


@pytest.mark.parametrize("detail", ["step", "op"])
def test_a_recurrence_has_boxes_up_to_its_own_end(detail: str) -> None:
    graph = build(TRACE, detail=detail)
    assert steps_of(graph, "enc.h") == list(range(SHORT))
    assert steps_of(graph, "dec.h") == list(range(LONG))
    rows = Counter(graph.rows[one.row].name for one in graph.vertices if one.kind in {"input", "op"})
    assert rows == {"source": SHORT, "concatenate": SHORT, "target": LONG}


def test_the_walk_back_begins_at_the_own_end_and_leads_to_the_own_start() -> None:
    graph = build(TRACE)
    # carried into t is 0.1^(steps still walked), into the initial state 0.1^4
    forward = [(f"t={t + 1}", f"t={t}", pytest.approx(0.1 ** (SHORT - 1 - t))) for t in range(SHORT - 1)]
    assert sorted(backward(graph, "enc.h")) == sorted([("t=0", "initial", pytest.approx(1e-4)), *forward])
    reverse = [(f"t={t}", f"t={t + 1}", pytest.approx(0.1 ** (t + 1))) for t in range(SHORT - 1)]
    last = (f"t={SHORT - 1}", "initial", pytest.approx(1e-4))
    assert sorted(backward(graph, "enc.h_l0_reverse")) == sorted([last, *reverse])


def test_the_start_of_a_shorter_reverse_recurrence_stands_behind_its_end() -> None:
    graph = build(TRACE)
    found = [one for one in graph.vertices if one.kind == "initial" and one.state == "enc.h_l0_reverse"]
    assert [graph.columns[one.column].first for one in found] == [SHORT]
    assert [column.kind for column in graph.columns] == ["initial"] + ["step"] * LONG


@pytest.mark.parametrize("steps", ["0:2", "0:4", "0:5"])
def test_a_fold_behind_the_end_of_a_recurrence_holds_nothing_of_it_but_the_start(steps: str) -> None:
    graph = build(TRACE, steps)
    shown = int(steps[-1])
    (fold,) = [one for one in graph.vertices if one.kind == "fold"]
    assert ("enc.h " in fold.label) == (shown < SHORT)
    forward = [(a, b) for a, b, _ in backward(graph, "enc.h") if "fold" in (a, b)]
    assert forward == ([("fold", f"t={shown - 1}")] if shown < SHORT else [])
    reverse = [(a, b, found) for a, b, found in backward(graph, "enc.h_l0_reverse") if "fold" in (a, b)]
    # what is carried into the fold's first step, or into the initial state that it hides
    carried = pytest.approx(0.1**shown if shown < SHORT else 1e-4)
    assert reverse == ([(f"t={shown - 1}", "fold", carried)] if shown <= SHORT else [])


def test_one_loop_stands_for_the_steps_that_each_has() -> None:
    graph = build(TRACE, detail="layer")
    labels = {one.state: one.label.split("\n")[0] for one in graph.vertices if one.kind == "layer"}
    assert labels == {
        "enc.h": f"LSTM layer × {SHORT} steps",
        "enc.h_l0_reverse": f"LSTM layer × {SHORT} steps",
        "dec.h": f"GRU layer × {LONG} steps",
    }
    assert [column.kind for column in graph.columns] == ["initial", "loop", "initial"]


def test_padding_is_that_of_the_own_batch() -> None:
    graph = build(TRACE)
    assert {graph.columns[one.column].first for one in graph.vertices if one.padding} == {SHORT - 1}
    assert {one.state for one in graph.vertices if one.padding and one.kind == "state"} == {
        "enc.h", "enc.c", "enc.h_l0_reverse", "enc.c_l0_reverse",
    }  # fmt: skip
    assert [column.valid for column in graph.columns if column.kind == "step"] == [3] * LONG
    assert "batch 2 and 3" in graph.subtitle


def test_no_bar_stands_behind_the_end() -> None:
    bands = {band.name: band for band in build(TRACE).bands}
    assert [one is not None for one in bands["enc.h"].summaries] == [False] + [True] * SHORT + [False] * (LONG - SHORT)
    assert all(one is not None for one in bands["dec.h"].summaries[1:])


@pytest.mark.parametrize("detail", ["layer", "step", "op"])
@pytest.mark.parametrize("view", ["unrolled", "rolled"])
@pytest.mark.parametrize("steps", [None, "0:2", "0:5", "5:6"])
def test_the_grid_holds(detail: str, view: str, steps: str | None) -> None:
    check(draw(TRACE, detail=detail, view=view, steps=steps))


def test_seen_from_one_loss_a_shorter_recurrence_of_the_same_clock_ends_where_it_ends() -> None:
    together = tuple(replace(one, clock=0) for one in TRACE.recurrences)
    graph = draw(with_lags(replace(TRACE, recurrences=together)), steps="all").graph
    boxes = Counter(vertex.row for vertex in graph.vertices if vertex.kind == "state")
    assert sorted(boxes.values()) == [SHORT, SHORT, SHORT, SHORT, LONG]  # h and c of the two directions
