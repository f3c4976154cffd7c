"""What a graph's columns say of a node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import rnngraph as rg


def test_the_first_nonfinite_node_is_found_and_put_in_words() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([[1.0, -1.0]]), name="x")
    with np.errstate(invalid="ignore"), tape.scope(layer="log", t=3):
        loss = x.log().sum()
    graph = rg.record(loss).graph
    log = graph.ops.index("log")
    assert graph.first_nonfinite() == {"forward": int(np.flatnonzero(graph.op == log)[0])}
    assert graph.describe(graph.first_nonfinite()["forward"]) == "log (node 1, log, t=3)"
    assert graph.describe(0) == "input x (node 0)"


def test_a_finite_graph_and_one_without_columns_have_none() -> None:
    graph = rg.record((rg.Tape().input(np.ones((1, 2)), name="x") * 2).sum()).graph
    assert graph.first_nonfinite() == {}
    assert replace(graph, first_nonfinite_backward=len(graph.op)).first_nonfinite() == {}
