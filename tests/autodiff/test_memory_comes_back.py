"""Memory of an array that nobody holds any more is given to the next of its size; while a view lives, it is not."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.autodiff.block.workspace import recycled

SHAPE, DTYPE = (37, 53, 11), np.dtype(np.float64)  # a size that nothing else asks for


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def test_a_view_keeps_the_memory_and_the_last_gives_it_back() -> None:
    first = recycled(SHAPE, DTYPE)
    place = address(first)
    view = first[5:].reshape(-1)[::2].T
    view[...] = 3
    del first
    second = recycled(SHAPE, DTYPE)
    second[...] = 7
    assert not np.shares_memory(view, second)
    assert (view == 3).all()
    del view
    third = recycled(SHAPE, DTYPE)
    assert address(third) == place
    assert address(second) != place


def test_states_of_an_earlier_pass_are_not_written_over() -> None:
    x = np.random.default_rng(0).normal(size=(32, 40, 8))
    layer = rg.nn.LSTM(8, 64)
    kept = layer(rg.Tape().input(x)).value
    expected = kept.copy()
    for scale in (2, 3, 4):
        rg.gradients((layer(rg.Tape().input(scale * x)) ** 2).sum())
    np.testing.assert_array_equal(kept, expected)


def test_gradients_of_an_earlier_walk_are_not_written_over() -> None:
    x = np.random.default_rng(0).normal(size=(32, 40, 64))
    layer = rg.nn.GRU(64, 64)
    first = rg.gradients((layer(rg.Tape().input(x)) ** 2).sum())
    expected = {name: value.copy() for name, value in first.items()}
    rg.gradients((layer(rg.Tape().input(2 * x)) ** 2).sum())
    for name, value in first.items():
        np.testing.assert_array_equal(value, expected[name])
