from __future__ import annotations

import math

import numpy as np
import pytest

from rnngraph.graph.summary import short, summarise, summarise_plain
from rnngraph.trace.magnitudes import Magnitudes, Status


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1"), (0.314, "0.31"), (12.3, "12"), (123.4, "123"), (1e-7, "1e-7"), (3.14e-7, "3.1e-7"),
     (1e-200, "1e-200"), (12345.0, "1.2e4"), (1e300, "1e300"), (0.0099, "9.9e-3"),
     (99.4, "99"), (99.7, "100")],
)  # fmt: skip
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text


def test_a_range_says_that_the_gradient_died_somewhere() -> None:
    found = summarise(Magnitudes(np.array([1e-3, 0, 10.0, 0]), np.array([0, 1, 0, 2], dtype=np.uint8)))
    assert (found.low, found.high) == (1e-3, 10.0)
    assert found.counts == (2, 1, 1, 0, 0)
    assert found.status is Status.OK
    assert found.text == "0 … 10"
    tiny = summarise(Magnitudes(np.array([1e-3, 0.0]), np.array([Status.OK, Status.UNDERFLOW], dtype=np.uint8)))
    assert tiny.text == "underflow … 1e-3"


@pytest.mark.parametrize("status", Status)
def test_a_single_magnitude_keeps_its_status(status: Status) -> None:
    value = 0.5 if status is Status.OK else math.nan
    found = summarise(Magnitudes(np.array([value]), np.array([status], dtype=np.uint8)), 0)
    assert found.status is status
    assert math.isnan(found.high) == (status is not Status.OK)
    assert sum(found.counts) == 1


def test_one_nonfinite_step_shows_through_a_fold() -> None:
    found = summarise(Magnitudes.of(np.array([1.0, np.inf, 2.0])))
    assert found.status is Status.NONFINITE


def test_plain_numbers_take_nan_as_not_observed() -> None:
    assert summarise_plain(np.array([np.nan])).status is Status.UNOBSERVED
    assert summarise_plain(np.array([0.0])).status is Status.ZERO
    assert summarise_plain(np.array([0.2, 0.8])).text == "0.2 … 0.8"
