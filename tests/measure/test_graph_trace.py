"""What a graph's columns say of a node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

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


@pytest.mark.parametrize("layer", [rg.nn.RNN, rg.nn.LSTM, rg.nn.GRU])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_rows_of_a_block_are_its_nodes_as_one_sees_them_one_by_one(layer: type, steps: int) -> None:
    tape = rg.Tape()
    hidden = layer(3, 5, num_layers=2, bidirectional=True)(tape.input(np.ones((2, steps, 3))))
    trace = rg.record((hidden * hidden).sum())
    graph = trace.graph
    assert len(graph.op) == len(tape.nodes)
    for node, first, last in zip(tape.nodes, graph.offsets[:-1], graph.offsets[1:], strict=True):
        assert tuple(graph.inputs[first:last]) == node.inputs
        assert graph.ops[graph.op[node.id]] == node.op.name
        assert graph.shapes[graph.shape[node.id]] == str(node.value.shape)
        assert graph.timestep[node.id] == node.timestep
    for state in trace.states:
        assert [tape.nodes[node].timestep for node in state.nodes] == list(range(steps))
        assert all(tape.nodes[node].op.name.endswith(f".{state.kind}") for node in state.nodes)
