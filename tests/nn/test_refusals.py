"""Layers refuse sizes, names and arrays that they cannot use, in one sentence with the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError

Y = np.zeros((2, 3), int)


def scores() -> rg.Tensor:
    return rg.Tape().input(np.ones((2, 3, 4)))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a size that no array has": (lambda: rg.nn.RNN(4, 10**20), str(10**20)),
    "a horizon in words": (lambda: rg.nn.LSTM(4, 5, init="chrono", horizon="far"), "'far'"),
    "a horizon of NaN": (lambda: rg.nn.LSTM(4, 5, init="chrono", horizon=float("nan")), "nan"),
    "two forget biases": (lambda: rg.nn.LSTM(4, 5, init="chrono", forget_bias=1.0), "1.0"),
    "words of two lengths": (lambda: rg.nn.temporal_softmax_loss(scores(), [[1], [1, 2]]), "y is no rectangular"),
    "a mask of two lengths": (lambda: rg.nn.temporal_softmax_loss(scores(), Y, [[1], [1, 0]]), "no rectangular"),
    "no such parameter": (lambda: rg.nn.RNN(4, 5).parameter("W"), "'W'.*Wx"),
    "a state that is none": (lambda: rg.nn.RNN(4, 5).load_state_dict(None), "NoneType"),  # type: ignore[arg-type]
    "a state of numbers": (lambda: rg.nn.RNN(4, 5).load_state_dict({1: Y, "a": Y}), "'a'"),  # type: ignore[dict-item]
    "a check of seed -1": (lambda: rg.check(scores().sum(), seed=-1), "-1"),
    "a tolerance in words": (lambda: rg.check(scores().sum(), tolerance="a"), "'a'"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_with_its_value(case: str) -> None:
    action, value = WRONG[case]
    with pytest.raises(InputError, match=value):
        action()
