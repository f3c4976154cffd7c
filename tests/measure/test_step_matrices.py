"""Steps of hand-written networks as one matrix a sample: the same lags as op by op, and refused where samples meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.step_matrix import StepMatrices
from rnngraph.sources.tape.plan import Plan
from tests.numpy import plain_networks as plain

N, T, D, H = 3, 24, 2, 4


def draw(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape) * 0.5


def columns(xs: Any, W: Any, U: Any) -> Any:
    h, total = np.zeros((H, N)), 0.0
    for x in xs:
        h = np.tanh(W @ x + U @ h)
        total = total + np.sum(h**2)
    return total


def centred(xs: Any, W: Any, U: Any) -> Any:
    """Let the samples of a batch meet in every step."""
    h, total = np.zeros((N, H)), 0.0
    for x in xs:
        h = np.tanh(x @ W + h @ U)
        h = h - h.mean(axis=0)
        total = total + np.sum(h**2)
    return total


def vectors(xs: Any, W: Any, U: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for x in xs:
        h = np.tanh(x @ W + h @ U)
        total = total + np.sum(h**2)
    return total


def lstm(*given: Any) -> Any:
    return np.sum(plain.course_lstm(*given) ** 2)


CASES: dict[str, tuple[Any, tuple[Any, ...], bool]] = {
    "lstm": (lstm, (draw(N, T, D), draw(N, H), draw(D, 4 * H), draw(H, 4 * H), draw(4 * H)), True),
    "dies": (lstm, (draw(N, T, D), draw(N, H), draw(D, 4 * H), 1e-30 * draw(H, 4 * H), draw(4 * H) - 200), True),
    "columns": (columns, (draw(T, D, N), draw(H, D), draw(H, H)), True),
    "one sample": (vectors, (draw(T, D), draw(D, H), draw(H, H)), True),
    "samples meet": (centred, (draw(T, N, D), draw(D, H), draw(H, H)), False),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_lags_are_those_of_the_walk_op_by_op(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, arrays, merges = CASES[name]
    merged: list[bool] = []
    through = StepMatrices.through

    def counted(self: Any, *given: Any) -> Any:
        found = through(self, *given)
        merged.append(found is not None)
        return found

    traced = rg.trace_function(function, *arrays)
    monkeypatch.setattr(StepMatrices, "through", counted)
    by_matrix = rg.record(traced, lags=True)
    assert merged
    assert any(merged) == merges
    monkeypatch.setattr(StepMatrices, "through", lambda self, *given: None)
    monkeypatch.setattr(Plan, "_is_read_by_steps", lambda self, node_id: False)  # and an input is summed whole
    by_op = rg.record(traced, lags=True)
    for one, other in zip(by_matrix.lags, by_op.lags, strict=True):
        np.testing.assert_allclose(one.log, other.log, rtol=1e-9, atol=1e-9)
    assert by_matrix.input_lags or function is not lstm
    for fed, same in zip(by_matrix.input_lags, by_op.input_lags, strict=True):
        np.testing.assert_allclose(fed.log, same.log, rtol=1e-9, atol=1e-9)
