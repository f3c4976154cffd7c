"""The title is the sentence of every view where the trace holds lags, and the model's name elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from tests.linear_cells import linear_loss


@pytest.mark.parametrize(("factor", "says"), [
    (0.1, "The gradient dies within 3 steps: further back, under 1 % of it is left."),
    (1.0, "It remembers: a state 11 steps back gets all of the gradient that one a step back gets."),
])  # fmt: skip
def test_the_sentence_heads_the_view_of_all_losses(factor: float, says: str) -> None:
    trace = rg.record(linear_loss(np.eye(2) * factor, np.ones((1, 2)), np.ones((1, 2)), 12), lags=True)
    assert rg.draw(trace, seen_from="total").graph.title == says  # 12 steps, the loss on the last


def test_without_lags_there_is_no_verdict() -> None:
    trace = rg.record(linear_loss(np.eye(2), np.ones((1, 2)), np.ones((1, 2)), 5))
    assert rg.draw(trace).graph.title == trace.model


@pytest.mark.parametrize("losses", [None, [3, 7, 11]])
def test_what_the_sum_cannot_show_is_said_under_it(losses: list[int] | None) -> None:
    loss = linear_loss(np.eye(2) * 0.5, np.ones((1, 2)), np.ones((1, 2)), 12, losses=losses)
    trace = rg.record(loss, lags=True)
    subtitle = rg.draw(trace, seen_from="total").graph.subtitle
    assert trace.model in subtitle
    words = "sum of 3 losses, which says nothing of reach"
    assert (words in subtitle) == (losses is not None)
    without = rg.record(loss)
    assert "sum of" not in rg.draw(without).graph.subtitle  # the model's name is the title
