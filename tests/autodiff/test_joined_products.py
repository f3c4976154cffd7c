"""One weight in products of unequal numbers of rows: joined, kept apart, and beside other uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.contribution import Array, Contribution, Outer, add_up, join
from rnngraph.nn import Parameter

RANDOM = np.random.default_rng(0)
ROWS = [(2, 2, 2), (2, 4), (2, 1, 3), (1, 5, 1), (3,)]  # (2, 1, 3) have as many rows together as three times two


def factors(rows: Sequence[int]) -> list[tuple[Array, Array]]:
    return [(RANDOM.normal(size=(n, 3)), RANDOM.normal(size=(n, 5))) for n in rows]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a dense one"])
@pytest.mark.parametrize("rows", ROWS)
def test_the_sum_of_products(rows: Sequence[int], beside: bool) -> None:
    pairs, dense = factors(rows), RANDOM.normal(size=(3, 5))
    kept = dense.copy()
    parts: list[Contribution] = [Outer(left, right) for left, right in pairs]
    if beside:
        parts.insert(1, dense)
    expected = sum(np.einsum("ni,no->io", left, right) for left, right in pairs) + (dense if beside else 0)
    for given in (parts, join(parts)):
        np.testing.assert_allclose(add_up(given, np.zeros((3, 5))), expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(dense, kept)  # lent, and not added to


def test_products_of_as_many_rows_become_one() -> None:
    (joined,) = join([Outer(left, right) for left, right in factors((2, 2, 2))])
    assert isinstance(joined, Outer)
    assert (joined.left.shape, joined.right.shape) == ((3, 2, 3), (3, 2, 5))


@pytest.mark.parametrize("rows", ROWS)
def test_a_weight_that_batches_of_several_sizes_share(rows: Sequence[int]) -> None:
    pairs = factors(rows)
    tape = rg.Tape()
    w = tape.parameter(Parameter("w", RANDOM.normal(size=(3, 5))))
    loss = (w * w).sum()
    for left, right in pairs:
        loss = loss + ((tape.constant(left) @ w) * right).sum()
    expected = 2 * w.value + sum(np.einsum("ni,no->io", left, right) for left, right in pairs)
    np.testing.assert_allclose(rg.gradients(loss)["w"], expected, rtol=1e-13)
    (measured,) = rg.record(loss).parameters
    np.testing.assert_allclose(measured.grad.value, np.linalg.norm(expected), rtol=1e-13)


@pytest.mark.parametrize(
    ("batches", "time", "detail"),
    [
        ((3, 2), 3, "step"), ((3, 2), 3, "op"), ((1, 4, 1), 3, "step"), ((1, 4, 1), 3, "op"), ((2, 1, 3), 3, "op"),
        ((128, 128), 100, "step"),  # a block walks these in several windows, whose arrays it uses again
    ],
)  # fmt: skip
def test_a_layer_that_is_called_for_several_batches(batches: Sequence[int], time: int, detail: str) -> None:
    torch: Any = pytest.importorskip("torch")
    layer = rg.nn.RNN(4, 5, detail=detail)
    tape = rg.Tape()
    weights = {name: torch.tensor(layer.parameter(name).value, requires_grad=True) for name in ("Wx", "Wh", "b")}
    total, wanted = tape.constant(0.0), torch.zeros(())
    for batch in batches:
        x, readout = RANDOM.normal(size=(batch, time, 4)), RANDOM.normal(size=(batch, 5))
        total = total + (layer(tape.input(x)) * readout[:, None]).sum()
        h = torch.zeros(batch, 5, dtype=torch.float64)
        for t in range(time):
            h = torch.tanh(torch.tensor(x[:, t]) @ weights["Wx"] + h @ weights["Wh"] + weights["b"])
            wanted = wanted + (h * torch.tensor(readout)).sum()
    wanted.backward()
    found = rg.gradients(total)
    for name, weight in weights.items():
        np.testing.assert_allclose(found[layer.parameter(name)], weight.grad.numpy(), rtol=1e-10, atol=1e-10)
