"""The numbers in the advice, against closed forms: truncations, scales, clips and the rate that they rest on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.slope import weighted_median
from tests.diagnosis.test_curve import made


def found(diagnosis: Any, rule: str) -> Any:
    return next(finding for finding in diagnosis.findings if finding.rule == rule)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_clip_counts_every_parameter_of_the_layer_and_none_of_another(layers: int) -> None:
    rng = np.random.default_rng(0)
    x = rg.Tape().input(rng.normal(size=(4, 60, 3)))
    layer = nn.GRU(3, 16, num_layers=layers)
    for parameter in layer.parameters():
        if "Wh" in parameter.name:
            parameter.value[...] *= 12
    hidden, scores = layer(x), nn.Linear(3, 5)(x)
    loss = (hidden[:, 59] * 1e-9).sum() + (scores * scores).sum() * 10
    finding = found(rg.diagnose(rg.record(loss, lags=True)), "exploding")
    gradients = rg.gradients(loss)
    state = str(finding.where["state"])
    suffix = state.removeprefix("gru.h")
    own = [np.linalg.norm(gradients[f"gru.{key}{suffix}"]) for key in ("Wx", "Wh", "b", "bh")]
    assert min(own) > 0
    expected = math.hypot(*own) / 10 ** finding.evidence["peak_decades"]
    assert finding.evidence["clip_norm"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_the_whole_gradient_is_clipped_where_most_of_it_is_the_layers_own(share: float) -> None:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(4, 60, 3)))
    hidden, scores = nn.RNN(3, 16, init="orthogonal", gain=4.0)(x), nn.Linear(3, 5)(x)
    own, other = (rg.gradients(loss) for loss in (hidden[:, 59].sum(), scores.sum()))
    sizes = [math.hypot(*(float(np.linalg.norm(part[name])) for name in names)) for part, names in (
        (own, ("rnn.Wx", "rnn.Wh", "rnn.b")), (other, ("linear.W", "linear.b"))
    )]  # fmt: skip
    # The squares of the layer's own gradient and of the others' are as share to 1 - share.
    factor = sizes[0] / sizes[1] * math.sqrt((1 - share) / share)
    finding = found(rg.diagnose(rg.record(hidden[:, 59].sum() + scores.sum() * factor, lags=True)), "exploding")
    clipped = sizes[0] if share < 0.5 else sizes[0] / math.sqrt(share)
    assert finding.evidence["clip_norm"] == pytest.approx(clipped / 10 ** finding.evidence["peak_decades"])
    assert ("own weights" in finding.advice) == (share < 0.5)


def test_the_whole_gradient_is_clipped_where_the_cell_has_no_weights() -> None:
    tape = rg.Tape()
    h = start = nn.Linear(2, 3)(tape.input(np.ones((4, 2))))
    states = []
    for t in range(40):
        with tape.scope(t=t):
            h = h * 1.5
        states.append(h)
    tape.state("cell.h", states, initial=start)
    loss = h.sum()
    norm = math.hypot(*(float(np.linalg.norm(rg.gradients(loss)[name])) for name in ("linear.W", "linear.b")))
    finding = found(rg.diagnose(rg.record(loss, lags=True)), "exploding")
    assert finding.evidence["clip_norm"] == pytest.approx(norm / 1.5**39)


def test_half_of_the_weight_lies_on_either_side_of_the_median() -> None:
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([10.0, 1.0, 1.0])) == 3
    assert weighted_median(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 1.5
    assert weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 2.0])) == 5.5
    assert weighted_median(np.array([7.0]), np.array([0.5])) == 7


def test_a_long_pair_weighs_more_than_short_ones() -> None:
    # One loss of 59 steps loses 0.1 nats a step, three of a few steps lose 1.
    losses = np.array([8, 9, 10, 59])
    lag = losses[:, None] - np.arange(-1, 60)
    rates = np.array([1.0, 1.0, 1.0, 0.1])[:, None]
    curve = lag_curve([made(np.where(lag >= 0, -rates * lag, np.nan)[None], losses)], "forward")
    assert curve.rate(59) == pytest.approx(-0.1)


def test_two_points_have_a_slope() -> None:
    curve = lag_curve([made([[[np.nan, -3.0, -1.0, 0.0]]], [2])], "forward")
    assert curve.rate(2) == -2


@pytest.mark.parametrize(("horizon", "first"), [(8, 1), (19, 1), (20, 2), (30, 3), (50, 5), (80, 5)])
def test_a_slope_leaves_the_first_tenth_of_the_lags_out_but_at_most_four(horizon: int, first: int) -> None:
    # ln gain = -0.01 lag²: between lags i and j the slope is -0.01 (i + j), and the median of i + j is first + horizon.
    lag = 90 - np.arange(-1, 91)
    curve = lag_curve([made((-0.01 * lag**2.0)[None, None], [90])], "forward")
    assert curve.rate(horizon) == pytest.approx(-0.01 * (first + horizon), abs=1e-3)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_recurrent_weight_of_zeros_takes_all_and_no_multiple_of_it_is_tried(nonlinearity: str) -> None:
    layer = nn.RNN(3, 16, nonlinearity=nonlinearity)
    layer.parameter("Wh").value[...] = 0.0
    loss = (layer(rg.Tape().input(np.random.default_rng(0).normal(size=(4, 30, 3)))) ** 2).sum()
    diagnosis = rg.diagnose(rg.record(loss, lags=True), trial=rg.trial(loss))
    finding = found(diagnosis, "vanishing")
    assert (finding.cause, finding.evidence["weight_nats"]) == ("weights", -math.inf)
    assert headline(diagnosis)[1].startswith("No step back keeps anything: the recurrent weight Wh makes it ×0")
    assert not [one for one in diagnosis.tried if "scale the recurrent weight" in one.words]
    assert any(one.helps for one in diagnosis.tried)


def test_of_a_function_that_multiplies_by_zeros_the_weight_is_named_too() -> None:
    def forward(x: Any, h: Any, Wx: Any, Wh: Any) -> Any:
        total = 0.0
        for t in range(len(x)):
            h = x[t] @ Wx + h @ Wh
            total = total + (h**2).sum()
        return total

    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(20, 4, 3)), np.zeros((4, 8)), rng.normal(size=(3, 8)), np.zeros((8, 8))
    traced = rg.trace_function(forward, *arrays)
    trace = rg.record(traced, lags=True)
    assert found(rg.diagnose(trace), "dead").advice.startswith("Look whether the recurrent weight is zero.")
    (helps,) = [one for one in rg.diagnose(trace, trial=rg.trial(traced)).tried if one.helps]
    assert helps.words == "start the recurrent weight orthogonal"
