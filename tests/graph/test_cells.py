"""A picture takes every fact of a cell from the trace: a cell that nobody has heard of is drawn as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnngraph.graph.build.graph import build
from rnngraph.graph.draw import draw
from rnngraph.trace.cell import INPUT, CellTrace, PartTrace
from rnngraph.trace.consistent import check_trace
from rnngraph.trace.model import GateTrace, Trace
from tests.graph.test_layout import check
from tests.traces import make_trace

TOY = CellTrace(
    name="toy",
    title="Toy network",
    kinds=("s", "m"),
    gates=("k",),
    saturation="stuck",
    marked_from=0.3,
    parts=(
        PartTrace("k", "gate k", "gate", (INPUT, "<s"), "k[t] = σ(x[t] + s[t-1])", (0, 0, 1)),
        PartTrace("m", "memory", "state", ("k", "<m"), "m[t] = k · m[t-1]", (1, 0, 1)),
        PartTrace("s", "shown", "state", ("m",), "s[t] = m[t]", (2, 0, 1)),
    ),
)


def toy_trace(timesteps: int = 4) -> Trace:
    """Build a trace of the toy from an LSTM's, which has as many nodes a step."""
    trace = make_trace("lstm", timesteps)
    graph, kinds = trace.graph, {"c": "m", "h": "s"}
    names = {"lstm.gates": "toy.k", "lstm.c": "toy.m", "lstm.h": "toy.s"}
    states = tuple(
        replace(one, kind=kinds[one.kind], cell="toy", name=f"toy.{kinds[one.kind]}", recurrence="toy",
                saturated=np.full(timesteps, 0.31))
        for one in trace.states
    )  # fmt: skip
    share = np.full(timesteps, 0.2)
    gate = GateTrace("toy.k", "toy", 0, "forward", "k", share, share, np.full(4, -1.0))
    trace = replace(
        trace,
        states=states,
        gates=(gate,),
        cells=(TOY,),
        recurrences=(replace(trace.recurrences[0], name="toy", cell="toy"),),
        graph=replace(graph, ops=tuple(names.get(op, op) for op in graph.ops)),
    )
    check_trace(trace)
    return trace


@pytest.mark.parametrize("detail", ["step", "op"])
def test_the_parts_of_an_unknown_cell_are_drawn_with_their_nodes(detail: str) -> None:
    trace = toy_trace()
    found = {one.key: one for one in build(trace, detail=detail).vertices if one.column == 2 and one.key}
    if detail == "op":  # it declares no operations, so that its states are all there is
        assert [one.label for one in found.values()] == ["step m", "step s"]
        return
    assert [(one.key, one.label, one.kind, one.formula) for one in found.values()] == [
        (part.key, part.label, part.role, part.formula) for part in TOY.parts
    ]
    assert [len(one.nodes) for one in found.values()] == [1, 1, 1]
    assert found["s"].nodes == (int(trace.states[1].nodes[1]),)
    assert found["k"].gates == ("toy.k",)


def test_its_words_are_used() -> None:
    graph = build(toy_trace())
    assert {one.mark for one in graph.vertices if one.kind == "state"} == {"stuck 31 %"}
    assert "at least 30 % of units stuck" in [shape.text for shape in draw(toy_trace()).shapes]
    (layer,) = [one for one in build(toy_trace(), detail="layer").vertices if one.kind == "layer"]
    assert layer.label.split("\n") == ["Toy network layer × 4 steps", "m carries 1e-3 … 0.1"]


@pytest.mark.parametrize("detail", ["layer", "step", "op"])
def test_its_grid_holds(detail: str) -> None:
    check(draw(toy_trace(20), detail=detail))
