"""What the engine promises of its work, in counts: entries of a tape, products, bytes held."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block, backward, columns
from rnngraph.autodiff.block.weight_sums import WeightSums
from rnngraph.autodiff.block.workspace import recycled
from rnngraph.autodiff.contribution import Outer, add_up, join
from rnngraph.nn.cells import gru

LAYERS: dict[str, Any] = {
    "rnn": lambda **options: nn.RNN(4, 6, **options),
    "lstm": lambda **options: nn.LSTM(4, 6, **options),
    "gru": lambda **options: nn.GRU(4, 6, **options),
}
Calls = list[tuple[int, ...]]


class Counted(np.ndarray[Any, Any]):
    """An array that notes its products with matrices."""

    calls: Calls = []  # noqa: RUF012 - a fixture gives each test a list of its own

    def dot(self, other: Any, out: Any = None) -> Any:
        if other.ndim == 2:
            self.calls.append((1 if self.ndim == 1 else len(self), *other.shape))
        return np.asarray(self).dot(other, out)


def run(layer: Any, time: int, *, batch: int = 2) -> Any:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(batch, time, 4)))
    x.node.value = x.value.view(Counted)
    return layer(x)


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The shapes (rows, inner, out) of the products that a layer makes; one row where the left is a vector."""
    monkeypatch.setattr(Counted, "calls", [])
    for module in (columns, gru):
        monkeypatch.setattr(module, "recycled", lambda *given: recycled(*given).view(Counted))

    def workspace(key: Any, make: Any) -> Any:
        space = make()
        space.da, space.das = space.da.view(Counted), [row.view(Counted) for row in space.das]
        return space

    monkeypatch.setattr(backward, "workspace", workspace)
    return Counted.calls


@pytest.mark.parametrize(("options", "blocks"), [({}, 1), ({"num_layers": 3}, 3), ({"bidirectional": True}, 2)])
@pytest.mark.parametrize("cell", LAYERS)
def test_a_layer_is_one_entry_however_many_steps(cell: str, options: dict[str, Any], blocks: int) -> None:
    short, long = (run(LAYERS[cell](**options), time).tape for time in (2, 300))
    assert len(short.entries) == len(long.entries)
    assert sum(isinstance(entry, Block) for entry in long.entries) == blocks
    assert len(long) > 300 * blocks  # the nodes that can be looked at
    assert len(list(long.nodes)) == len(long)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", LAYERS)
def test_the_input_is_projected_in_one_product(cell: str, batch: int, dots: Calls) -> None:
    time, wide = 40, {"rnn": 6, "lstm": 24, "gru": 18}[cell]
    run(LAYERS[cell](), time, batch=batch)
    projections = [shape for shape in dots if shape == (time * batch, 4, wide)]
    assert len(projections) == 1
    assert [shape for shape in dots if shape[1] == 6] == [(batch, 6, wide)] * time


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", LAYERS)
def test_the_gradient_of_the_input_is_one_product(cell: str, batch: int, dots: Calls) -> None:
    time, wide = 40, {"rnn": 6, "lstm": 24, "gru": 18}[cell]
    loss = run(LAYERS[cell](), time, batch=batch).sum()
    dots.clear()
    rg.gradients(loss)
    assert dots.count((time * batch, wide, 4)) == 1
    assert not [shape for shape in dots if shape[2] == 4 and shape[0] < time * batch]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", LAYERS)
def test_the_weights_are_summed_by_windows_of_steps(cell: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    products = WeightSums._add_products

    def counted(self: WeightSums, name: str, t: slice, left: Any, right: Any, outer: Any) -> None:
        seen.append((name, len(left)))
        products(self, name, t, left, right, outer)

    monkeypatch.setattr(WeightSums, "_add_products", counted)
    time = 200
    loss = run(LAYERS[cell](), time, batch=batch).sum()
    rg.gradients(loss)
    assert sorted({name for name, _ in seen}) == ["Wh", "Wx"]
    for name in ("Wh", "Wx"):
        windows = [steps for one, steps in seen if one == name]
        assert sum(windows) == time
        assert len(windows) <= 3


def test_products_of_single_steps_become_one() -> None:
    time = 50
    loss = run(nn.RNN(4, 6, detail="op"), time).sum()
    (step,) = [step for step in sweep(loss.tape, {loss.id: np.ones(())}) if step.node.name == "rnn.Wh"]
    assert len(step.contributions) == time
    (joined,) = join(step.contributions)
    assert isinstance(joined, Outer)
    assert joined.left.shape == (time, 2, 6)
    expected = sum(np.einsum("ni,no->io", one.left, one.right) for one in step.contributions if isinstance(one, Outer))
    np.testing.assert_allclose(add_up(step.contributions, step.node.value), expected, rtol=1e-12, atol=1e-14)


def test_a_walk_holds_no_more_than_its_frontier() -> None:
    steps, size = 400, 10_000
    tape = rg.Tape()
    h = tape.input(np.ones(size))
    for _ in range(steps):
        h = h * 1.0
    loss = h.sum()
    tracemalloc.start()
    try:
        rg.gradients(loss)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * size * 10  # ten arrays, of four hundred
