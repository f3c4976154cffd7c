"""The first number that is not finite is found with its line, module, step and sample, forward and backward."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn


class Cell(nn.Module):  # type: ignore[misc, name-defined]
    """A logarithm whose argument becomes zero once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Any, h: Any) -> Any:
        scale = x.abs().log()  # the line
        return (self.linear(scale) + h).tanh()


class Loop(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any) -> Any:
        h = torch.zeros(x.shape[1], 3)
        for one in x:
            h = self.cell(one, h)
        return h


def line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(k for k, one in enumerate(lines) if text in one)


def test_forward_in_a_cell() -> None:
    model, x = Loop(Cell()), torch.rand(6, 2, 3) + 0.5
    x[4, 1, 2] = 0.0
    found = rnngraph.torch.first_nonfinite(lambda: model(x).sum().backward(), model).forward
    assert found is not None
    assert (found.op, found.module, found.timestep, found.sample) == ("log", "cell", 4, 1)
    assert found.file == __file__
    assert found.line == line_of(Cell, "# the line")
    assert float(found.inputs[0][1, 2]) == 0.0
    assert str(found) == f"log at {__file__}:{found.line} (in cell, step 4, sample 1)"


def test_what_the_data_hold_already() -> None:
    cell, x = nn.GRUCell(3, 3), torch.rand(6, 2, 3)
    x[4, 1, 2] = torch.nan
    found = rnngraph.torch.first_nonfinite(lambda: Loop(cell)(x).sum().backward())
    for way in (found.forward, found.backward):
        assert way is not None
        assert (way.given, way.file) == (True, __file__)
        assert str(way).endswith(", which was given NaN or infinity already")
    layer = rnngraph.torch.first_nonfinite(lambda: nn.LSTM(3, 3)(x)).forward
    assert layer is not None
    assert (layer.module, layer.timestep, layer.sample, layer.given) == ("LSTM", 4, 1, True)


def test_infinity_that_a_mask_writes_is_nothing() -> None:
    def attend() -> None:
        x = torch.rand(4, 2, 6, requires_grad=True)
        mask = torch.full((4, 4), -torch.inf).triu(1)
        nn.MultiheadAttention(6, 2)(x, x, x, attn_mask=mask)[0].sum().backward()

    found = rnngraph.torch.first_nonfinite(attend)
    assert (found.forward, found.backward) == (None, None)


def test_memory_that_is_pointed_at_is_not_made() -> None:
    """As cuDNN's layers do with their weights at every call on a GPU."""
    weights, x = torch.rand(3), torch.rand(3, requires_grad=True)
    weights[1] = torch.inf

    def run() -> None:
        (torch.empty(0).set_(weights.untyped_storage(), 0, (3,), (1,)) * (x - x)).sum().backward()

    found = rnngraph.torch.first_nonfinite(run).forward
    assert found is not None
    assert (found.op, found.given) == ("mul", True)  # infinity times zero


def test_backward_only() -> None:
    class Root(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, h: Any) -> Any:
            return (x * h.square().sum(1, keepdim=True).sqrt()) + 0.5 * h  # slope of a root at zero

    model, x = Loop(Root()), torch.zeros(3, 2, 3).requires_grad_()
    first = torch.zeros(2, 3).requires_grad_()

    def run() -> None:
        h = first
        for one in x:
            h = model.cell(one, h)
        h.sum().backward()

    found = rnngraph.torch.first_nonfinite(run, model)
    assert found.forward is None
    assert found.backward is not None
    assert found.backward.file == __file__
    assert found.backward.line == line_of(Root, "# slope")
    assert found.backward.module == "cell"
    assert found.backward.timestep == 2


def test_a_fused_layer_and_one_that_is_fine() -> None:
    layer, x = nn.LSTM(3, 4), torch.randn(5, 2, 3)
    found = rnngraph.torch.first_nonfinite(lambda: layer(x)[0].sum().backward(), layer)
    assert (found.forward, found.backward) == (None, None)
    assert str(found) == "forward: all finite\nbackward: all finite"
    model = nn.Sequential(nn.Linear(3, 3), layer)

    def run() -> None:
        model[1](model[0](x) / (x.abs() > 0.0).float().sub(1).mul(x))[0].sum().backward()

    broken = rnngraph.torch.first_nonfinite(run, model).forward
    assert broken is not None
    assert broken.op == "div"
    assert broken.line == line_of(run, "model[1](model[0]")


def test_what_makes_nan_counts_before_what_was_given_it() -> None:
    given, fine = torch.full((2, 3), torch.nan), torch.zeros(2, 3)
    found = rnngraph.torch.first_nonfinite(lambda: (given * 2, fine.log())).forward
    assert found is not None
    assert (found.op, found.given) == ("log", False)


def test_only_functions() -> None:
    with pytest.raises(InputError, match=r"first_nonfinite got a Tensor; pass a function"):
        rnngraph.torch.first_nonfinite(torch.ones(2))
