"""What is left of one loss: against factors that are known exactly, and which loss is looked from."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.diagnosis.one_loss import INITIAL, Losses
from rnngraph.trace.model import Trace


def linear(r: float, *, timesteps: int = 20, bidirectional: bool = False, last: bool = False) -> Trace:
    """Record a tanh network at rest, of which every step back keeps exactly `r`."""
    tape, rng = rg.Tape(), np.random.default_rng(3)
    layer = rg.nn.RNN(3, 4, bidirectional=bidirectional)
    for parameter in layer.parameters():
        parameter.value[...] = r * np.eye(4) if "Wh" in parameter.name else 0.0
    h = layer(tape.input(np.zeros((2, timesteps, 3))))
    weight = rng.normal(size=h.shape[2])
    read = h[:, timesteps - 1] if last else h
    return rg.record((read * weight).sum(), lags=True)


@pytest.mark.parametrize("r", [0.5, 1.0, 1.3])
def test_a_step_back_keeps_its_factor(r: float) -> None:
    losses = Losses(linear(r))
    seen = losses.seen_from(losses.furthest())
    (walk,) = seen.walks
    assert seen.timestep == 19
    np.testing.assert_array_equal(walk.steps, [*range(19, -1, -1), INITIAL])
    np.testing.assert_allclose(walk.decades, np.arange(21) * np.log10(r), atol=1e-12)
    assert walk.factor(3) == pytest.approx(r, abs=1e-12)
    assert walk.last_above(-2) == (6 if r < 1 else 20)
    assert walk.first_above(2) == (18 if r > 1 else None)


def test_two_directions_are_seen_from_the_middle() -> None:
    losses = Losses(linear(0.5, bidirectional=True))
    seen = losses.seen_from(losses.furthest())
    assert seen.timestep in (9, 10)
    forward, reverse = seen.walks
    assert forward.steps.tolist() == [*range(seen.timestep, -1, -1), INITIAL]
    assert reverse.steps.tolist() == [*range(seen.timestep, 20), INITIAL]


def test_a_loss_that_was_not_measured_is_named_with_its_neighbours() -> None:
    losses = Losses(linear(0.5, last=True))
    assert losses.timesteps == ((0, 19),)
    with pytest.raises(rg.InputError, match="no loss at t=7 was measured; the nearest are at t=19"):
        losses.at(7)
