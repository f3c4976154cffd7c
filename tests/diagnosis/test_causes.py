"""Which factor is said to take the gradient, and which share of the steps lets nothing through."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.causes import activation_share, cause, dead_share, is_flat, lost_once
from rnngraph.trace.magnitudes import Magnitudes
from tests.diagnosis.stand_ins import a_layer, a_recurrence, a_state

INF = math.inf


def scales(*steps: float) -> Any:
    return lambda: np.array(steps)


@pytest.mark.parametrize(("decades", "expected"), [(-10.0, "gate"), (-30.0, "gate"), (-40.0, "weights")])
def test_a_gate_is_the_cause_where_it_explains_half_of_the_decades(decades: float, expected: str) -> None:
    # One unit that keeps e^-1 a step loses 40 / ln 10 = 17.4 decades over 40 steps.
    assert cause(a_layer("lstm", gate_timescales=scales(1.0)), decades) == expected


def test_units_are_put_together_by_the_root_of_the_mean_square() -> None:
    # Half of the units keep everything: (1 / 2) ** 0.5 is left, 0.15 decades.
    layer = a_layer("lstm", gate_timescales=scales(1e-3, 1e12))
    assert cause(layer, -0.29) == "gate"
    assert cause(layer, -0.31) == "weights"
    # Of three of which one keeps: (1 / 3) ** 0.5, 0.24 decades, where the median keeps nothing.
    third = a_layer("lstm", gate_timescales=scales(1e-3, 1e-3, 1e12))
    assert cause(third, -0.47) == "gate"
    assert cause(third, -0.49) == "weights"


def test_a_gate_that_keeps_nothing_at_all_is_the_cause() -> None:
    assert cause(a_layer("lstm", gate_timescales=scales(0.01)), -INF) == "gate"
    assert cause(a_layer("lstm", gate_timescales=scales(40.0)), -INF) == "weights"


def test_of_an_unknown_gate_either() -> None:
    assert cause(a_layer("lstm"), -9.0) == "gate or weights"


@pytest.mark.parametrize(("cell", "decades", "activation", "weights", "expected"), [
    ("relu", -INF, -0.1, -0.9, "activation"),  # all units are off
    ("relu", -9.0, -0.1, -0.9, "weights"),
    ("tanh", -INF, -0.1, -0.9, "weights"),
    ("tanh", -9.0, -0.5, -0.5, "activation"),  # half of it
    ("tanh", -9.0, -0.49, -0.51, "weights"),
    ("tanh", -9.0, -0.1, 0.3, "activation"),  # the weights give
])  # fmt: skip
def test_without_a_gate_the_factor_that_takes_half(
    cell: str, decades: float, activation: float, weights: float, expected: str
) -> None:
    assert cause(a_layer(cell, activation=activation, weights=weights), decades) == expected


def test_the_share_of_the_activation() -> None:
    assert activation_share(a_layer(activation=-0.3, weights=-0.1)) == pytest.approx(0.75)
    assert activation_share(a_layer(activation=-0.3, weights=0.2)) == 1.0
    assert math.isnan(activation_share(a_layer(activation=0.0, weights=0.0)))
    assert math.isnan(activation_share(a_layer(activation=0.0, weights=1.0)))


@pytest.mark.parametrize(("cell", "saturated", "activation", "weights", "expected"), [
    ("tanh", 0.5, -0.5, -0.5, True),  # half of the units, and half of the loss a step
    ("tanh", 0.49, -0.5, -0.5, False),
    ("tanh", 0.5, -0.49, -0.51, False),
    ("tanh", 0.5, 0.0, 0.0, True),  # nobody knows which share: the units tell
    ("relu", 0.9, -0.5, -0.5, False),  # half of its units are off at any time
    ("tanh", 0.0, -1.4, -1.4, True),  # e^-1.4 = 0.2466 a step
    ("tanh", 0.0, -1.38, -1.38, False),  # e^-1.38 = 0.2516
    ("tanh", 0.0, -1.4, -1.5, False),  # less than half
    ("relu", 0.0, -1.4, -1.4, True),
    ("tanh", math.nan, -0.1, -0.1, False),
])  # fmt: skip
def test_flat_activations(cell: str, saturated: float, activation: float, weights: float, expected: bool) -> None:
    assert is_flat(a_layer(cell, saturated=saturated, activation=activation, weights=weights)) is expected


def dead(log: Any, severed: Any = None, saturated: Any = None, **recurrence: Any) -> float:
    log = np.array(log, float)
    samples, _, time = log.shape
    severed = np.zeros((samples, time), bool) if severed is None else np.array(severed)
    state = a_state(saturated=np.full(time, np.nan) if saturated is None else np.array(saturated))
    recurrence = {"valid": np.ones((samples, time), bool), **recurrence}
    credit = SimpleNamespace(log=log, severed=severed)
    return dead_share(a_layer(credit=credit, states=(state,), recurrence=a_recurrence(**recurrence)))


NAN = math.nan


def test_zeros_are_counted_over_the_steps_that_are_seen() -> None:
    assert dead([[[-INF, -INF, 0.0, 0.0, 0.0]]]) == pytest.approx(1 / 3)  # over the step into t = 2
    assert dead([[[0.0, 0.0, 0.0, 0.0, 0.0]]]) == 0.0
    assert dead([[[-INF, NAN, 0.0, 0.0, 0.0]]]) == 0.0  # nothing was measured before t = 2
    assert dead([[[-INF, 0.0, -INF, 0.0, 0.0]]]) == pytest.approx(
        1 / 3
    )  # t = 2 is passed by: of 1, 3 and 4 one is dead
    assert dead([[[-INF, -INF, -INF, -INF, 0.0]]]) == 0.0  # one step alone
    assert dead([[[-INF, 0.0, 0.0]]]) == pytest.approx(1 / 2)  # two are enough
    some = [NAN, 0.0, 0.0, 0.0, 0.0]  # of a cell whose units are looked at themselves
    assert dead([[[-INF, -INF, 0.0, 0.0, 0.0]]], saturated=some) == 0.0
    assert dead([[[-INF, -INF, 0.0, 0.0, 0.0]]], severed=[[False, False, True, False, False]]) == 0.0


def test_a_step_is_dead_where_no_loss_gets_through() -> None:
    one, other = [-INF, -INF, 0.0, 0.0], [-INF, 0.0, 0.0, NAN]
    assert dead([[one, other]]) == pytest.approx(1 / 3)  # the other loss gets over t = 2, none over t = 1
    assert dead([[one], [other]]) == pytest.approx(2 / 4)  # two samples, of which each has two steps


def test_units_that_switch_off_are_counted_themselves() -> None:
    state = a_state(saturated=np.array([1.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    valid = np.zeros((2, 8), bool)
    valid[0, :4] = True
    assert dead_share(a_layer("relu", states=(state,), recurrence=a_recurrence(valid=valid))) == 0.75
    assert dead_share(a_layer("relu", states=(state,), recurrence=a_recurrence(valid=valid & False))) == 0.0
    assert dead_share(a_layer("tanh", states=(state,), recurrence=a_recurrence(valid=valid))) == 0.0


@pytest.mark.parametrize("reverse", [False, True])
def test_one_step_that_takes_half_is_where_it_is_lost(reverse: bool) -> None:
    # Of 1 at every step, over the step into t = 5 a millionth is carried to its neighbour.
    def lost(
        kept: float, *, reach: int = 5, rate: float = -0.03, cut: int = 0, others: float = 0.9
    ) -> tuple[int, float] | None:
        carried = np.full(8, others)
        carried[6 if reverse else 4] = kept
        recurrence = a_recurrence(cut=np.arange(8) == cut)
        state = a_state(carried=Magnitudes.of(carried))
        credit = SimpleNamespace(reverse=reverse)
        return lost_once(a_layer(rate=rate, states=(state,), recurrence=recurrence, credit=credit), -8.0, reach)

    assert lost(1e-6) == (5, np.log10(1e-6))
    assert lost(0.0) == (5, -INF)
    assert lost(1e-4 * 1.01) is None  # less than half of eight decades
    assert lost(1e-6, rate=-0.47) is None  # five steps of it take 1.02 of the two decades that end the reach
    assert lost(1e-6, rate=-0.47, reach=4) is not None
    assert lost(1e-6, rate=-2.31, reach=0) is None
    assert lost(1e-6, cut=5) is None
    assert lost(1e-6, others=1e-5) is None  # every step takes as much
    assert lost(math.nan) is None


def test_what_is_lost_at_one_step_is_counted_over_all_states() -> None:
    # A ten thousandth is lost in one state, and of both √2 ten thousandths are left of 1: less than half of 8 decades.
    kept = Magnitudes.of(np.where(np.arange(8) == 4, 1e-4, 1.0))
    states = a_state(carried=kept), a_state(grad=Magnitudes.of(np.zeros(8)), carried=kept)
    layer = a_layer(states=states, credit=SimpleNamespace(reverse=False))
    assert lost_once(layer, -8.0, 5) is None
    assert lost_once(layer, 2 * np.log10(math.sqrt(2) * 1e-4) + 1e-9, 5) is not None


def test_a_step_is_found_in_a_recurrence_that_is_shorter_than_another() -> None:
    step = np.arange(12)
    grad = np.where(step < 8, 1.0, np.nan)
    state = a_state(grad=Magnitudes.of(grad), carried=Magnitudes.of(grad * np.where(step == 4, 1e-6, 0.9)))
    layer = a_layer(states=(state,), credit=SimpleNamespace(reverse=False))
    assert lost_once(layer, -8.0, 5) == (5, np.log10(1e-6))
