"""Memory of an array that nobody holds any more is given to the next of its size; while a view lives, it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.block import workspace
from rnngraph.autodiff.block.workspace import WAITING, recycled

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


def waiting() -> int:
    return sum(len(block) for blocks in WAITING._blocks.values() for block in blocks)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "MOST_BYTES", 4_000_000)
    most = 0
    for units in range(9_000, 12_000, 150):  # bytes of 72,000 and more, each size another
        held = [recycled((units,), DTYPE) for _ in range(20)]
        del held
        assert waiting() == WAITING.bytes
        most = max(most, waiting())
    assert 2_000_000 < most <= 4_000_000


def test_what_a_thread_keeps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "MOST_BYTES", 4_000_000)
    workspace._LOCAL.__dict__.clear()
    most = 0
    for units in range(50_000, 100_000, 1_000):
        workspace.workspace(units, lambda units=units: SimpleNamespace(bytes=8 * units))  # type: ignore[misc]
        most = max(most, sum(one.bytes for one in workspace._LOCAL.spaces.values()))
    workspace._LOCAL.__dict__.clear()
    assert 2_000_000 < most <= 4_000_000


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
