"""Verdicts at the edges: horizons without pairs, samples without a loss, exact zeros, and what is said of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.headline import headline
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import orthogonal


def found(diagnosis: Any, rule: str) -> Any:
    return next(finding for finding in diagnosis.findings if finding.rule == rule)


def judged(layer: Any, loss: Any, *, x: Any = None, mask: Any = None, **options: Any) -> Any:
    x = np.random.default_rng(0).normal(size=(4, 60, layer.input_size)) if x is None else x
    hidden = layer(rg.Tape().input(x), mask=mask)
    return rg.diagnose(rg.record(loss(hidden), lags=True), **options)


def products(factors: Any) -> Any:
    """h_t = g_t h_{t-1}, a factor by step and sample, (T, N); the loss is on the last state."""
    tape = rg.Tape()
    factors = np.asarray(factors, float)
    h = start = tape.input(np.ones((factors.shape[1], 1)))
    states = []
    for t, factor in enumerate(factors):
        with tape.scope(t=t):
            h = h * factor[:, None]
        states.append(h)
    tape.state("cell.h", states, initial=start)
    return rg.diagnose(rg.record(states[-1].sum(), lags=LagOptions("all", "all")))


def lasting() -> Any:
    return nn.LSTM(6, 24, forget_bias=5.0)


def test_a_horizon_that_no_loss_reaches_is_never_healthy() -> None:
    diagnosis = judged(lasting(), lambda h: h[:, 20].sum(), horizon=50)
    assert diagnosis.verdict == "too_short"
    assert diagnosis.horizon == 20
    assert "more than 20 steps before it" in found(diagnosis, "too_short").text
    assert "horizon of 50" in found(diagnosis, "too_short").text
    assert judged(lasting(), lambda h: h[:, 20].sum(), horizon=20).verdict == "healthy"
    assert judged(nn.RNN(6, 24, gain=0.1), lambda h: h[:, 20].sum(), horizon=50).verdict == "vanishing"


def test_a_cut_says_itself_why_the_horizon_is_not_reached() -> None:
    trace = recorded(nn.LSTM(6, 24, forget_bias=5.0, truncate=10), loss="last")
    assert rg.diagnose(trace, horizon=50).flags == ("truncated",)


def test_a_sequence_of_one_step_has_no_horizon() -> None:
    with pytest.raises(InputError, match="one timestep has no lag"):
        rg.diagnose(linear(orthogonal(2), time=1), horizon=1)


def test_the_reverse_direction_of_a_loss_on_the_last_timestep_is_too_short() -> None:
    diagnosis = judged(nn.LSTM(6, 24, forget_bias=5.0, bidirectional=True), lambda h: (h[:, 59] ** 2).sum())
    assert diagnosis.flags == ("healthy",)
    assert found(diagnosis, "too_short").severity == "note"
    assert found(diagnosis, "too_short").where["direction"] == "reverse"
    assert found(diagnosis, "too_short").text.endswith("lstm can be judged.")
    assert "not on the last timestep" in found(diagnosis, "too_short").advice


def test_a_sample_without_a_gradient_is_named() -> None:
    weight = np.array([1.0, 1.0, 0.0, 1.0])[:, None]
    diagnosis = judged(lasting(), lambda h: (h[:, 59] * weight).sum())
    assert diagnosis.flags == ("healthy",)
    assert found(diagnosis, "silent_samples").where["sample"] == 2
    assert "the gradient is exactly zero" in found(diagnosis, "silent_samples").text


def test_no_sample_is_called_silent_because_its_loss_was_not_taken() -> None:
    # Every sample has its loss on a step of its own, and only one of them is walked back.
    hidden = lasting()(rg.Tape().input(np.random.default_rng(0).normal(size=(4, 60, 6))))
    loss = sum((hidden[n, 30 + 5 * n].sum() for n in range(1, 4)), hidden[0, 30].sum())
    diagnosis = rg.diagnose(rg.record(loss, lags=LagOptions(losses=1, samples="all")))
    assert "silent_samples" not in {finding.rule for finding in diagnosis.findings}


def test_all_steps_masked_is_no_signal() -> None:
    diagnosis = judged(nn.RNN(6, 8), lambda h: h[:, 59].sum(), mask=np.zeros((4, 60), bool))
    assert diagnosis.flags == ("no_signal",)
    assert "every step is masked" in found(diagnosis, "no_signal").text


def test_a_weight_that_is_nan_is_not_called_too_short() -> None:
    layer = nn.RNN(6, 24)
    layer.parameter("Wh").value[0, 0] = np.nan
    diagnosis = judged(layer, lambda h: h[:, 59].sum())
    assert diagnosis.flags == ("non_finite",)


def test_relu_units_switched_off_at_one_step_are_lost_there() -> None:
    layer = nn.RNN(2, 2, nonlinearity="relu", init="identity")
    layer.parameter("Wx").value[...] = np.eye(2)
    x = np.full((2, 60, 2), 0.1)
    x[:, 30] = -100
    diagnosis = judged(layer, lambda h: h[:, 59].sum(), x=x)
    finding = found(diagnosis, "vanishing")
    assert diagnosis.decades == -math.inf
    assert diagnosis.memory_horizon == 28  # the inputs of the steps behind it are heard, that of the step itself is not
    assert (finding.cause, finding.evidence["lost_at"]) == ("one step", 30)
    assert headline(diagnosis)[1] == "It is lost at t=30: that step back alone keeps nothing of it."
    assert "the gradient is exactly zero at lag 59." in finding.text


def test_a_step_that_lets_nothing_through_is_not_to_blame_beyond_the_reach() -> None:
    layer = nn.RNN(2, 2, nonlinearity="relu", init="identity")
    layer.parameter("Wx").value[...] = np.eye(2)
    layer.parameter("Wh").value[...] *= 0.2
    x = np.full((2, 60, 2), 0.1)
    x[:, 30] = -100
    diagnosis = judged(layer, lambda h: h[:, 59].sum(), x=x)
    assert (diagnosis.reach, diagnosis.decades) == (3, -math.inf)  # 0.2 ** 2 is 4 %, from lag 1 on
    assert headline(diagnosis)[1].startswith("Each step back keeps a fifth of it (×0.20)")


def test_no_scale_is_advised_for_a_gradient_that_falls_once_and_then_grows() -> None:
    diagnosis = products([[1.05]] * 81 + [[1e-3]] * 9)
    assert diagnosis.verdict == "vanishing"
    assert "larger" in found(diagnosis, "vanishing").advice


def test_growth_before_a_fall_is_not_said_to_halve() -> None:
    diagnosis = products([[0.5]] * 81 + [[3.0]] * 9)
    assert diagnosis.flags == ("exploding", "vanishing")
    assert found(diagnosis, "exploding").text.endswith("up to lag 9 the gradient grows ×20 thousand.")
    assert found(diagnosis, "exploding").evidence.get("weight_scale") is None
    assert found(diagnosis, "exploding").where["timestep"] == 80  # where the gradient is largest


@pytest.mark.parametrize(("samples", "verdict"), [(8, "exploding"), (20, "exploding")])
def test_the_one_sample_that_explodes_is_named(samples: int, verdict: str) -> None:
    factors = np.ones((90, samples))
    factors[:, 3] = 1.2
    diagnosis = products(factors)
    assert diagnosis.verdict == verdict
    finding = found(diagnosis, "sample_differs")
    assert finding.where["sample"] == 3
    assert finding.evidence["label"] == "exploding"
    assert finding.evidence["decades"] == pytest.approx(89 * math.log10(1.2))
    assert finding.evidence["median_decades"] == 0
    assert finding.severity == "warning"


@pytest.mark.parametrize(("horizon", "severity"), [(None, "note"), (90, "warning")])
def test_attenuation_is_a_band_of_its_own(horizon: int | None, severity: str) -> None:
    trace = linear(0.93 * orthogonal(5), time=91)
    diagnosis = rg.diagnose(trace, horizon=horizon)
    assert diagnosis.flags == ("attenuating",)
    assert found(diagnosis, "attenuating").severity == severity
    assert "0.2 % of the credit is left at lag 90" in found(diagnosis, "attenuating").text  # 0.93 ** 89
    if horizon is None:
        assert rg.assert_healthy(trace).verdict == "attenuating"
    else:
        with pytest.raises(AssertionError, match="attenuating"):
            rg.assert_healthy(trace, horizon=horizon)
        assert rg.assert_healthy(trace, horizon=horizon, allow=["attenuating"])


@pytest.mark.parametrize(("horizon", "severity"), [(None, "warning"), (89, "error")])
def test_nothing_of_a_reach_is_an_error_unless_it_is_needed(horizon: int | None, severity: str) -> None:
    assert found(rg.diagnose(linear(0.5 * orthogonal(5)), horizon=horizon), "vanishing").severity == severity


def test_saturation_is_flagged_as_vanishing_too() -> None:
    layer = nn.RNN(6, 24, init="orthogonal")
    layer.parameter("b").value[...] = np.where(np.arange(24) % 2, 3.0, -3.0)
    trace = recorded(layer, inputs=0.1)
    assert rg.diagnose(trace).verdict == "saturated"
    assert rg.diagnose(trace).flags == ("saturated", "vanishing")
    assert rg.assert_healthy(trace, allow=["saturated"]).verdict == "saturated"
    with pytest.raises(AssertionError, match="saturated"):
        rg.assert_healthy(trace, allow=["vanishing"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize(("gain", "verdict"), [(0.5, "vanishing"), (3.0, "exploding")])
def test_the_size_of_the_loss_does_not_matter_in_float32_either(
    gain: float, verdict: str, scale: float, dtype: Any
) -> None:
    layer = nn.RNN(6, 24, init="orthogonal", gain=gain, dtype=dtype)
    assert rg.diagnose(recorded(layer, scale=scale)).flags == (verdict,)


def test_the_step_where_the_memory_ends_is_counted_from_each_directions_own_loss() -> None:
    layer = nn.RNN(6, 8, gain=0.5, bidirectional=True)
    diagnosis = judged(layer, lambda h: h[:, 0, 8:].sum() + h[:, 59, :8].sum())
    for finding in diagnosis.findings:
        if finding.rule == "vanishing":
            end = finding.evidence["memory_horizon"]
            assert finding.where["timestep"] == (59 - end if finding.where["direction"] == "forward" else end)
            assert 0 < end < 30
    assert [finding.rule for finding in diagnosis.findings].count("vanishing") == 2


def test_the_end_of_the_memory_is_counted_from_the_last_loss_of_the_longest_sample() -> None:
    finding = found(judged(nn.RNN(6, 24, gain=0.1), lambda h: h[:, 40].sum()), "vanishing")
    assert finding.where["timestep"] == 40 - finding.evidence["memory_horizon"]
    mask = np.arange(60) < np.array([31, 31, 60, 31])[:, None]
    finding = found(judged(nn.RNN(6, 24, gain=0.1), lambda h: h[:, 59].sum(), mask=mask, horizon=30), "vanishing")
    assert finding.where["timestep"] == 59 - finding.evidence["memory_horizon"]


def test_the_window_is_that_of_each_direction() -> None:
    diagnosis = rg.diagnose(recorded(nn.LSTM(6, 8, forget_bias=5.0, bidirectional=True, truncate=7), time=46))
    windows = [
        (one.where["direction"], one.evidence["window"]) for one in diagnosis.findings if one.rule == "truncated"
    ]
    assert windows == [("forward", 7), ("reverse", 7)]


@pytest.mark.parametrize("samples", [2, slice(None)])
def test_samples_that_start_anew_are_no_truncation(samples: Any) -> None:
    trace = recorded(nn.LSTM(6, 8, forget_bias=5.0))
    severed = np.zeros((4, 90), bool)
    severed[samples, 45] = True
    anew = replace(trace, lags=tuple([replace(lags, severed=severed) for lags in trace.lags]))
    assert "truncated" not in rg.diagnose(anew).flags
    assert (rg.diagnose(anew).horizon < 45) == bool(severed[:, 45].all())
