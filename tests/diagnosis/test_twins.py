"""One network in every source: the same recurrences, the gradients of plain autograd, and one verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.trace.model import Trace
from tests.diagnosis import twin_networks as twins
from tests.diagnosis.twin_networks import N, T, Twin

EVERY = ("loop", "modules", "numpy", "tape")
TWINS: dict[str, tuple[Twin, tuple[str, ...]]] = {
    "a decay before the step": (Twin((twins.decayed,)), EVERY),
    "an episode that begins": (Twin((twins.reset,)), EVERY),
    "a slow state": (Twin((twins.slow,)), EVERY),
    "decays of two states": (Twin((twins.lstm,)), EVERY),
    "a cell that gates see": (Twin((twins.peephole,)), EVERY),
    "two states that are kept": (Twin((twins.masked,)), EVERY),
    "two layers in one loop": (Twin((twins.tanh, twins.residual)), EVERY),
    "a decay below what is like it": (Twin((twins.decayed, twins.residual)), EVERY),
    "layers of two kinds": (Twin((twins.tanh, twins.diagonal, twins.decayed)), EVERY),
    "three layers both ways": (Twin((twins.residual, twins.tanh, twins.tanh), by_layer=True, both=True), EVERY),
    "one layer both ways": (Twin((twins.tanh,), by_layer=True, both=True), EVERY),
    "two steps back": (Twin((twins.tanh,), back=2), ("modules", "numpy", "tape")),
    "three steps back": (Twin((twins.residual, twins.tanh), back=3), ("modules", "numpy", "tape")),
    "detached by the cell": (Twin((twins.tanh,), cut=4), ("modules", "tape")),
}  # fmt: skip


def logs(norms: Any, samples: Any) -> Any:
    """Turn the truth into the form of a trace, (samples, losses, steps)."""
    return np.moveaxis(norms, 2, 0)[samples]


def near(log: Any, norms: Any) -> bool:
    """Whether all that was measured is true, and all that is not zero was measured."""
    found = np.exp(np.where(np.isnan(log), -np.inf, log))
    return bool(found.shape == norms.shape and np.allclose(found, norms, rtol=1e-9, atol=1e-12))


def is_true(trace: Trace, states: dict[str, Any], fed: Any) -> None:
    assert [(one.timesteps, one.batch) for one in trace.recurrences] == [(T, N)] * len(trace.recurrences)
    assert trace.lags[0].losses.tolist() == list(range(T))
    assert len(trace.lags) == len(states)
    for lag in trace.lags:
        assert sum(near(lag.log[:, :, 1:], logs(norms, lag.samples)) for norms in states.values()) == 1, lag.state
    (read,) = trace.input_lags
    assert near(read.log, logs(fed, trace.lags[0].samples))


def said(trace: Trace) -> Any:
    found = rg.diagnose(trace)
    numbers = (found.decades, found.rate, found.half_life or 0.0, found.horizon, found.reach)
    return len(trace.recurrences), found.flags, pytest.approx(numbers, rel=1e-6)


@pytest.mark.parametrize("name", list(TWINS))
def test_every_source_says_the_same_and_it_is_true(name: str) -> None:
    twin, sources = TWINS[name]
    states, fed = twins.truth(twin)
    first: Any = None
    for source in sources:
        trace = twins.traced(twin, source)
        is_true(trace, states, fed)
        number, flags, numbers = said(trace)
        first = first or (number, flags, numbers)
        assert (number, flags) == first[:2], source
        assert numbers.expected == first[2], source
