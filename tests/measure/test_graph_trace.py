"""What a graph's columns say of a node."""

from __future__ import annotations

import copy
import weakref
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.sources.tape import graph_columns
from rnngraph.trace.magnitudes import Status


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


@pytest.mark.parametrize(("layer", "own"), [(rg.nn.LSTM, slice(4)), (rg.nn.GRU, slice(1, 3))])  # r acts through n alone
@pytest.mark.parametrize("batch", [1, 3])
def test_what_the_gates_of_a_step_get_is_what_their_operations_get(layer: type, own: slice, batch: int) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(batch, 4, 2)), rng.normal(size=(batch, 4, 5))
    graphs = []
    for detail in ("step", "op"):
        hidden = layer(2, 5, seed=1, detail=detail)(rg.Tape().input(x))
        graphs.append(rg.record((hidden * weight).sum()).graph)
    steps, operations = graphs
    (gates,) = [number for number, op in enumerate(steps.ops) if op.endswith(".gates")]
    squashed = np.isin(operations.op, [operations.ops.index(op) for op in ("sigmoid", "tanh")])
    for t, norm in enumerate(steps.grad.value[steps.op == gates]):
        expected = operations.grad.value[squashed & (operations.timestep == t)][own]
        assert norm == pytest.approx(np.linalg.norm(expected), rel=1e-12)


def test_columns_are_made_once_and_nothing_of_the_tape_is_held_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    columns = graph_columns._Columns

    def counted(*given: Any) -> Any:
        made.append(1)
        return columns(*given)

    monkeypatch.setattr(graph_columns, "_Columns", counted)
    data = np.ones((2, 4, 3))
    held = weakref.ref(data)
    graph = rg.record((rg.nn.LSTM(3, 5)(rg.Tape().input(data)) ** 2).sum()).graph
    del data
    assert not made
    assert held() is None
    copied = copy.deepcopy(graph)
    assert made == [1]
    assert all(np.array_equal(*values) for values in pairs(graph, copied))
    assert made == [1]
    with pytest.raises(AttributeError, match="GraphTrace has no 'colour'"):
        graph.colour  # type: ignore[attr-defined]  # noqa: B018


def pairs(one: Any, other: Any) -> Any:
    """Give the columns of two graphs beside each other."""
    for field in fields(one):
        pair = getattr(one, field.name), getattr(other, field.name)
        yield tuple(np.asarray(value.value if field.name == "grad" else value) for value in pair)


def test_a_graph_is_that_of_the_pass_whatever_comes_on_its_tape_afterwards() -> None:
    tape = rg.Tape()
    hidden = rg.nn.RNN(3, 5)(tape.input(np.ones((2, 4, 3))))
    loss = (hidden * hidden).sum()
    early, looked_at = rg.record(loss).graph, rg.record(loss).graph
    count = len(looked_at.op)
    _ = hidden.tanh().sum()
    assert len(early.op) == len(early.grad.value) == len(early.offsets) - 1 == count


def test_a_graph_knows_of_its_states_and_of_a_layer_what_the_trace_says_of_them() -> None:
    layer = rg.nn.RNN(3, 5)
    layer.parameter("Wh").value *= 1e-40
    hidden = layer(rg.Tape().input(np.ones((2, 12, 3))))
    trace = rg.record((hidden[:, 11] ** 2).sum())
    (state,), graph = trace.states, trace.graph
    assert {Status.OK, Status.UNDERFLOW} == set(state.grad.status.tolist())
    assert graph.grad.status[state.nodes].tolist() == state.grad.status.tolist()
    assert graph.grad.value[state.nodes].tolist() == state.grad.value.tolist()
    assert graph.grad.value[hidden.id] == pytest.approx(np.sqrt(np.sum(state.grad.value**2)), rel=1e-12)


def test_a_step_whose_gradient_leaves_the_floats_is_found() -> None:
    layer = rg.nn.RNN(3, 5)
    for parameter in layer.parameters():
        parameter.value[...] = 0
    layer.parameter("Wh").value += 1e200 * np.eye(5)
    graph = rg.record(layer(rg.Tape().input(np.ones((2, 4, 3)))).sum()).graph
    ((way, node),) = graph.first_nonfinite().items()  # ∂L/∂h[1] is 1 + 1e200 + 1e400, and comes out of step 2
    assert (way, int(graph.timestep[node])) == ("backward", 2)
