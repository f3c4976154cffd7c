"""One row of a walk back, number by number: what a step keeps, and where 1 % and ×100 stand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.one_loss import Losses, OneLoss, Walk
from rnngraph.errors import InputError
from tests.diagnosis.stand_ins import a_recurrence

INF, NAN = math.inf, math.nan


def walk(*decades: float, **facts: Any) -> Walk:
    """A row from t=9 on."""
    count = len(decades)
    known: dict[str, Any] = {"name": "rnn.h", "recurrence": a_recurrence(), "states": ("rnn.h",), "cut": False,
                             "initial": math.nan}  # fmt: skip
    steps, lags = 9 - np.arange(count), np.arange(count)
    return Walk(**{**known, "steps": steps, "lags": lags, "decades": np.array(decades), **facts})


def test_what_a_step_keeps() -> None:
    row = walk(0.0, -0.5, NAN, -1.0, -INF)
    assert row.factor(0) == pytest.approx(10**-0.5)
    assert math.isnan(row.factor(1))
    assert math.isnan(row.factor(2))  # it is not known from where
    assert row.factor(3) == 0.0
    assert math.isnan(row.factor(4))  # nothing comes behind
    assert math.isnan(row.factor(9))
    assert walk(0.0, 1.0).factor(0) == pytest.approx(10)
    assert math.isnan(walk(0.0, 1.0).factor(1))


def test_the_rows_stand_from_the_top_of_what_the_loss_enters() -> None:
    rows = [walk(0.0, recurrence=a_recurrence(clock=clock, layer=layer)) for clock in (0, 1) for layer in (0, 1)]
    seen = OneLoss(3, 1, 1, joint=False, split=False, walks=tuple(rows))
    found = [(one.recurrence.clock, one.recurrence.layer) for one in seen.downwards]
    assert found == [(1, 1), (1, 0), (0, 1), (0, 0)]


def losses(*steps: int, available: int | None = None) -> Losses:
    """The losses of a trace of one recurrence; nothing else is known of it."""
    found = Losses.__new__(Losses)
    count = len(steps) if available is None else available
    first = SimpleNamespace(clocks=np.zeros(len(steps), int), losses=np.array(steps), available=count)
    found.trace = SimpleNamespace(lags=(first,))  # type: ignore[assignment]
    found._room = lambda number: (0, 0, number)  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize(("timestep", "near"), [(-1, "t=3, t=6, t=9"), (20, "t=9, t=12, t=15"),
                                                (8, "t=6, t=9, t=12")])  # fmt: skip
def test_the_nearest_three_losses_are_named(timestep: int, near: str) -> None:
    with pytest.raises(InputError) as caught:
        losses(3, 6, 9, 12, 15).at(timestep)
    assert str(caught.value) == f"no loss at t={timestep} was measured: the nearest are at {near}."


def test_one_loss_is_named_alone() -> None:
    with pytest.raises(InputError, match=r"the nearest is at t=3\.$"):
        losses(3).at(4)


def test_where_losses_were_left_out_it_is_said_what_measures_them() -> None:
    with pytest.raises(InputError, match=r"; of 9 losses 2 were measured, and .*LagOptions\(including=\[4\]\)"):
        losses(3, 9, available=9).at(4)


def test_of_several_clocks_the_loss_that_can_travel_furthest() -> None:
    found = losses(3, 3, 5)
    assert found.at(3) == 1
    assert found.at(5) == 2
    assert found.furthest() == 2
