"""What `rg.gradients` returns belongs to the caller: no later walk and no write changes it, nor it the tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.workspace import _LOCAL
from rnngraph.nn import Parameter

STEPS = 4


def sums() -> tuple[Any, dict[str, Any]]:
    """A gradient that is handed on as it is, to two inputs at once, and one that is a view of another."""
    tape = rg.Tape()
    x, y, z = (tape.input(np.full((2, 3), 2.0), name) for name in "xyz")
    loss = ((x + y) * 5.0 + z.reshape(3, 2).reshape(2, 3)).sum()
    return loss, {"x": np.full((2, 3), 5.0), "y": np.full((2, 3), 5.0), "z": np.ones((2, 3))}


def a_weight_of_two_uses() -> tuple[Any, dict[str, Any]]:
    tape = rg.Tape()
    w = tape.parameter(Parameter("w", np.ones((3, 2))))
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(4, 3)
    loss = (tape.constant(a) @ w).sum() + (tape.constant(b) @ w).sum() + (w * 7.0).sum()
    return loss, {"w": (a.sum(axis=0) + b.sum(axis=0) + 7)[:, None] * np.ones((3, 2))}


def stack() -> tuple[Any, dict[str, Any]]:
    """Two open ReLU layers of one shape, h_t = a h_{t-1} + x_t: the second walk uses the arrays of the first."""
    layer = nn.RNN(3, 3, nonlinearity="relu", num_layers=2)
    for name, carry in (("", 0.5), ("_l1", 0.25)):
        layer.parameter("Wh" + name).value[...] = carry * np.eye(3)
        layer.parameter("Wx" + name).value[...] = np.eye(3)
    tape = rg.Tape()
    below, above = tape.input(np.ones((2, 3)), "below"), tape.input(np.ones((2, 3)), "above")
    x = tape.input(np.ones((2, STEPS, 3)), "x")
    hidden = layer(x, rg.stack([below, above]))
    loss = hidden[:, STEPS - 1].sum()
    # ∂h2_T/∂h1_k = Σ_j 0.25^(n-j) 0.5^j = (0.5^(n+1) - 0.25^(n+1)) / 0.25, with n steps between them.
    to_x = np.array([(0.5 ** (n + 1) - 0.25 ** (n + 1)) / 0.25 for n in range(STEPS)])[::-1]
    return loss, {
        "above": np.full((2, 3), 0.25**STEPS),
        "below": np.full((2, 3), 0.5 * to_x[0]),
        "x": np.broadcast_to(to_x[:, None], (2, STEPS, 3)),
    }


def a_gradient_that_is_lent_to_two() -> tuple[Any, dict[str, Any]]:
    """What reaches `y` also reaches the layer, where a part of its steps gets more."""
    layer = nn.RNN(3, 3, nonlinearity="relu")
    layer.parameter("Wh").value[...] = 0
    layer.parameter("Wx").value[...] = np.eye(3)
    tape = rg.Tape()
    x, y = tape.input(np.ones((2, STEPS, 3)), "x"), tape.input(np.ones((2, STEPS, 3)), "y")
    hidden = layer(x)
    loss = hidden[:, 1:3].sum() + ((hidden + y) * 5.0).sum()
    to_x = np.array([5.0, 6.0, 6.0, 5.0])[:, None] * np.ones((2, STEPS, 3))
    return loss, {"x": to_x, "y": np.full((2, STEPS, 3), 5.0)}


CASES = pytest.mark.parametrize("make", [sums, a_weight_of_two_uses, stack, a_gradient_that_is_lent_to_two])


@CASES
def test_two_walks_give_the_same_and_share_nothing(make: Any) -> None:
    loss, expected = make()
    first, second = rg.gradients(loss), rg.gradients(loss)
    arrays = [*first.values(), *second.values()]
    for place, one in enumerate(arrays):
        assert one.flags.writeable
        assert not any(np.shares_memory(one, other) for other in arrays[:place])
        assert not any(np.shares_memory(one, entry.value) for entry in loss.tape.entries)
        spaces = getattr(_LOCAL, "spaces", {}).values()
        kept = [array for space in spaces for array in (space.da, *space.total.values(), *space.carried.values())]
        assert not any(np.shares_memory(one, array) for array in kept)
    for name, wanted in expected.items():
        np.testing.assert_allclose(first[name], wanted, rtol=1e-14)


@CASES
def test_writing_into_a_gradient_changes_neither_the_tape_nor_the_next_walk(make: Any) -> None:
    loss, expected = make()
    values = [entry.value.copy() for entry in loss.tape.entries]
    spoiled = rg.gradients(loss)
    kept = rg.gradients(loss)
    for one in spoiled.values():
        one[...] = np.nan
    for found in (kept, rg.gradients(loss)):
        for name, wanted in expected.items():
            np.testing.assert_allclose(found[name], wanted, rtol=1e-14)
    for entry, value in zip(loss.tape.entries, values, strict=True):
        np.testing.assert_array_equal(entry.value, value)


def test_a_walk_over_another_tape_of_the_same_shapes_changes_nothing() -> None:
    loss, expected = stack()
    found = rg.gradients(loss)
    other, _ = stack()
    rg.gradients(other * 1e6)
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-14)


def test_walking_does_not_change_what_a_block_holds() -> None:
    loss, _ = stack()
    blocks = [entry for entry in loss.tape.entries if isinstance(entry, Block)]
    before = [[column.copy() for column in block.columns.values()] for block in blocks]
    rg.gradients(loss)
    rg.record(loss, lags=True)
    for block, columns in zip(blocks, before, strict=True):
        for column, own in zip(block.columns.values(), columns, strict=True):
            np.testing.assert_array_equal(column, own)
