"""The structure of a graph is made once for passes that record the same, and anew for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.sources.tape import structure


def trace(layer: Any, *, time: int = 7, batch: int = 2, head: bool = True) -> rg.Trace:
    output = layer(rg.Tape().input(np.random.default_rng(0).normal(size=(batch, time, 3))))
    return rg.record(((output * output) if head else output).sum())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the structures that were made."""
    sizes: list[int] = []
    make = structure.Structure

    def counted(tape: Any) -> Any:
        sizes.append(tape.size)
        return make(tape)

    monkeypatch.setattr(structure, "Structure", counted)
    monkeypatch.setattr(structure, "_KEPT", {})
    return sizes


CHANGED: list[tuple[Any, dict[str, Any]]] = [
    (rg.nn.RNN(3, 4), {"time": 8}),
    (rg.nn.RNN(3, 4), {"batch": 3}),
    (rg.nn.RNN(3, 4), {"head": False}),
    (rg.nn.RNN(3, 5), {}),
    (rg.nn.RNN(3, 4, nonlinearity="relu"), {}),
    (rg.nn.RNN(3, 4, name="other"), {}),
    (rg.nn.RNN(3, 4, bidirectional=True), {}),
    (rg.nn.LSTM(3, 4), {}),
    (rg.nn.GRU(3, 4), {}),
]


@pytest.mark.parametrize(("layer", "options"), CHANGED)
def test_another_pass_has_its_own(layer: Any, options: dict[str, Any], made: list[int]) -> None:
    first = trace(rg.nn.RNN(3, 4))
    other = trace(layer, **options)
    assert len(made) == 2
    structure._KEPT.clear()
    alone = trace(layer, **options)
    for name in ("ops", "formulas", "scopes", "shapes", "names", "op", "scope", "shape", "timestep", "inputs"):
        np.testing.assert_array_equal(getattr(other.graph, name), getattr(alone.graph, name))
    assert first.graph.names != {} != other.graph.names


def test_what_stands_behind_the_layer_has_its_own_too(made: list[int]) -> None:
    shapes, inputs = [], []
    for factor in (np.ones((2, 7, 4)), np.ones((1, 7, 4)), np.ones((2, 7, 4), np.int64)):
        hidden = rg.nn.RNN(3, 4)(rg.Tape().input(np.random.default_rng(0).normal(size=(2, 7, 3))))
        found = rg.record((hidden * hidden.tape.input(factor, "factor")).sum())
        shapes.append(found.graph.shapes)
        inputs.append([one.name for one in found.inputs])
    assert len(made) == 3
    assert "(1, 7, 4)" in shapes[1]
    assert "(1, 7, 4)" not in shapes[0]
    assert inputs == [["x", "factor"], ["x", "factor"], ["x"]]


def test_the_same_pass_shares_it(made: list[int]) -> None:
    layer = rg.nn.RNN(3, 4)
    first = trace(layer)
    layer.parameter("Wh").value *= 2
    second = trace(layer)
    assert len(made) == 1
    assert first.graph.op is second.graph.op
    assert (first.graph.grad.value != second.graph.grad.value).any()
    with pytest.raises(ValueError, match="read-only"):
        first.graph.op[0] = 1


def test_only_the_last_few_are_kept(made: list[int]) -> None:
    for time in range(5, 12):
        trace(rg.nn.RNN(3, 4), time=time)
    assert len(structure._KEPT) == structure._MOST_KEPT
    trace(rg.nn.RNN(3, 4), time=11)
    assert len(made) == 7
