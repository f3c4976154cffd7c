"""The title says the verdict where the trace holds lags, and leaves the model's name alone elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.render.title import picture_title
from tests.linear_cells import linear_loss


@pytest.mark.parametrize(("factor", "says"), [(0.1, "vanishing, no credit beyond lag 3"), (1.0, "healthy")])
def test_the_verdict_and_its_horizon_are_in_the_title(factor: float, says: str) -> None:
    trace = rg.record(linear_loss(np.eye(2) * factor, np.ones((1, 2)), np.ones((1, 2)), 12), lags=True)
    assert picture_title(trace) == f"{trace.model} — {says} (at lag 11)"  # 12 steps, the loss on the last


def test_without_lags_there_is_no_verdict() -> None:
    trace = rg.record(linear_loss(np.eye(2), np.ones((1, 2)), np.ones((1, 2)), 5))
    assert picture_title(trace) is None
