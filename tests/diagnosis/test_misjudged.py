"""Networks that were once misjudged, or given advice that their numbers do not bear out; the truth is on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from tests.linear_cells import linear_loss, orthogonal

Array = Any


def factors(
    table: Array, losses: Sequence[tuple[int, Array]] | None = None, *, start: float = 1.0, dtype: Any = np.float64
) -> rg.Tensor:
    """h_t = h_{t-1} * table[n, t], one unit; a loss is a step and a weight a sample, (N, 1)."""
    table = np.atleast_2d(np.asarray(table, dtype))
    batch, time = table.shape
    tape = rg.Tape()
    h = first = tape.input(np.full((batch, 1), start, dtype), "h0")
    states = []
    for t in range(time):
        with tape.scope(t=t):
            h = h * table[:, t : t + 1]
        states.append(h)
    tape.state("cell.h", states, initial=first)
    total: rg.Tensor | None = None
    for s, weight in losses or [(time - 1, np.ones((batch, 1)))]:
        part = (states[s] * np.asarray(weight, dtype)).sum()
        total = part if total is None else total + part
    assert total is not None
    return total


def linear(weight: Array, time: int, c: Array | None = None, *, dtype: Any = np.float64) -> rg.Trace:
    """h_t = h_{t-1} W from zero, and the loss c·h_T."""
    readout = np.ones((1, len(weight))) if c is None else np.asarray(c)
    start = np.zeros((1, len(weight)), dtype)
    return rg.record(linear_loss(np.asarray(weight, dtype).T, start, readout.astype(dtype), time), lags=True)


def found(diagnosis: Any, rule: str) -> Any:
    (finding,) = [finding for finding in diagnosis.findings if finding.rule == rule]
    return finding


def test_one_long_sample_does_not_speak_for_seven_short_ones() -> None:
    table = np.full((8, 100), 0.3)
    table[0] = 1.0
    long = np.zeros((8, 1))
    long[0] = 1
    trace = rg.record(factors(table, [(99, long), (49, 1 - long)]), lags=True)
    diagnosis = rg.diagnose(trace)
    # One in eight keeps everything: that much of the gradient arrives, and who carries it is said.
    assert diagnosis.verdict == "healthy"
    assert diagnosis.horizon == 49
    assert diagnosis.decades == pytest.approx(math.log10((1 + 7 * 0.3**49) / (1 + 7 * 0.3)))
    assert found(diagnosis, "few_samples").evidence["participation"] == pytest.approx(1 / 8)
    assert "about 1 of 8 samples" in found(diagnosis, "few_samples").text
    assert found(diagnosis, "sample_differs").where["sample"] == 0
    asked = rg.diagnose(trace, horizon=99)
    assert asked.verdict == "too_short"
    assert "only 1 of 8 samples" in found(asked, "too_short").text


def test_samples_without_a_loss_do_not_hide_the_one_that_has_one() -> None:
    weight = np.zeros((32, 1))
    weight[10] = 1
    diagnosis = rg.diagnose(rg.record(factors(np.full((32, 50), 0.3), [(49, weight)]), lags=True))
    assert diagnosis.verdict == "vanishing"
    assert diagnosis.decades == pytest.approx(48 * math.log10(0.3))
    assert diagnosis.measured == "all loss steps, 8 of 32 samples"
    assert "8 of 32 samples" in str(diagnosis)


def test_an_explosion_beyond_the_largest_float() -> None:
    trace = linear(10 * orthogonal(4), 320)
    diagnosis = rg.diagnose(trace)
    assert {"exploding", "non_finite"} <= set(diagnosis.flags)
    assert diagnosis.by_layer[0].decades == pytest.approx(319)


def test_the_rate_is_that_of_each_loss_and_not_of_their_mixture() -> None:
    # One unit keeps, at a gate of sigmoid(6), and the others forget at once: each loss decays by the gate alone, but
    # how much of it is in the keeping unit differs from loss to loss.
    layer = nn.LSTM(3, 8)
    bias = layer.parameter("b").value
    bias[8:16], bias[8] = -20, 6
    layer.parameter("Wh").value[...] = 0
    layer.parameter("Wx").value[...] *= 0.01
    rng = np.random.default_rng(0)
    hidden = layer(rg.Tape().input(rng.normal(size=(4, 60, 3))))
    diagnosis = rg.diagnose(rg.record((hidden * rng.normal(size=hidden.shape)).sum(), lags=True))
    gate = math.log(1 / (1 + math.exp(-6)))
    assert diagnosis.rate == pytest.approx(gate, rel=0.02)
    assert diagnosis.half_life == pytest.approx(math.log(2) / -gate, rel=0.02)


def test_one_step_that_lets_nothing_through_is_not_a_dead_layer() -> None:
    # At the last step h takes nothing from h, but everything from a second path that h fed before.
    tape = rg.Tape()
    h = start = tape.input(np.ones((1, 1)), "h0")
    c = tape.input(np.ones((1, 1)), "c0")
    states = []
    for t in range(40):
        with tape.scope(t=t):
            own, other = (0.0, 1.0) if t == 39 else (0.9, 0.0)
            h, c = h * own + c * other, c * 0.99 + h * 0.1
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record(h.sum(), lags=True))
    # dL/dh_{38-k} = 0.1 * sum of 0.99^(k-1-j) 0.9^j: what h gave to c at each step.
    expected = 0.1 * sum(0.99 ** (37 - j) * 0.9**j for j in range(38))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.decades == pytest.approx(math.log10(expected), abs=1e-9)


def test_the_clip_is_that_of_the_layer_where_others_make_up_the_norm() -> None:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    x = tape.input(rng.normal(size=(4, 60, 3)))
    layer = nn.RNN(3, 16, init="orthogonal", gain=4.0)
    hidden, scores = layer(x), nn.Linear(3, 5)(x)
    loss = (hidden[:, 59] * 1e-9).sum() + (scores * scores).sum() * 10
    trace = rg.record(loss, lags=True)
    finding = found(rg.diagnose(trace), "exploding")
    own = math.hypot(*(float(np.linalg.norm(rg.gradients(loss)[f"rnn.{name}"])) for name in ("Wx", "Wh", "b")))
    peak = finding.evidence["peak_decades"]
    assert finding.evidence["clip_norm"] == pytest.approx(own / 10**peak)
    assert "Clip the norm of the gradient of rnn's own weights" in finding.advice
    assert "made it so" not in finding.advice


@pytest.mark.parametrize("scale", [1.0, 1e12, 1e-12])
def test_the_overflow_is_predicted_from_the_size_of_the_gradient(scale: float) -> None:
    c = np.full((1, 4), scale)
    finding = found(rg.diagnose(linear(2 * orthogonal(4), 60, c=c, dtype=np.float32)), "exploding")
    # 2 * scale * 2^lag reaches 2^128
    assert finding.evidence["overflow_lag"] == pytest.approx(127 - math.log2(scale), abs=1)


def test_saturation_is_no_cause_where_the_weights_take_nearly_all() -> None:
    layer = nn.RNN(3, 24, init="orthogonal")
    layer.parameter("Wh").value[...] *= 1e-3
    layer.parameter("Wx").value[...] *= 0.1
    layer.parameter("b").value[...] = np.where(np.arange(24) < 13, 3, 0)
    rng = np.random.default_rng(0)
    hidden = layer(rg.Tape().input(rng.normal(size=(4, 60, 3))))
    diagnosis = rg.diagnose(rg.record((hidden * rng.normal(size=hidden.shape)).sum(), lags=True))
    assert diagnosis.verdict == "vanishing"
    assert found(diagnosis, "vanishing").cause == "weights"


def test_a_network_that_neither_grows_nor_shrinks_has_a_rate_of_zero() -> None:
    diagnosis = rg.diagnose(linear(orthogonal(4), 60))
    assert diagnosis.rate == 0
    assert diagnosis.half_life is None


def test_samples_on_both_sides_of_a_threshold_do_not_differ() -> None:
    rates = 10 ** (np.array([-4.01, -3.99, -3.99, -3.99]) / 59)
    diagnosis = rg.diagnose(rg.record(factors(np.repeat(rates[:, None], 60, axis=1)), lags=True))
    assert diagnosis.verdict == "attenuating"
    assert not [finding for finding in diagnosis.findings if finding.rule == "sample_differs"]


@pytest.mark.parametrize(("long", "verdict"), [(2, "too_short"), (3, "healthy")])
def test_a_verdict_needs_half_of_the_samples(long: int, verdict: str) -> None:
    weight = (np.arange(5) < long).astype(float)[:, None]
    trace = rg.record(factors(np.ones((5, 100)), [(99, weight), (49, 1 - weight)]), lags=True)
    assert rg.diagnose(trace, horizon=99).verdict == verdict


@pytest.mark.parametrize("gain", [0.8, 1.1])
def test_a_window_is_said_whatever_the_gradient_does_inside(gain: float) -> None:
    layer = nn.RNN(6, 24, init="orthogonal", gain=gain, truncate=10)
    hidden = layer(rg.Tape().input(np.full((2, 60, 6), 1e-3)))
    diagnosis = rg.diagnose(rg.record(hidden[:, 59].sum(), lags=True))
    assert (diagnosis.rate < 0) == (gain < 1)
    assert "goes back over more than 9 steps" in found(diagnosis, "truncated").text


def test_a_sample_without_a_loss_tells_nothing_of_the_others() -> None:
    loss = factors(np.full((2, 20), 0.9), [(19, np.array([[1.0], [0.0]]))])
    assert rg.diagnose(rg.record(loss, lags=rg.LagOptions(samples=[1]))).flags == ("no_signal",)


@pytest.mark.parametrize(
    ("decades", "sample", "severity"),
    [
        ((-3.5, -3.5, -3.5, -5.5), 3, "warning"),  # two decades off, and on the other side of the threshold
        ((-1, -1, -1, -6, -9), 4, "warning"),
        ((-8, -8, -8, -1), 3, "note"),
    ],
)
def test_the_sample_that_is_furthest_off_is_named(decades: Any, sample: int, severity: str) -> None:
    rates = 10 ** (np.array(decades, float) / 59)
    trace = rg.record(factors(np.repeat(rates[:, None], 60, axis=1)), lags=True)
    finding = found(rg.diagnose(trace), "sample_differs")
    assert (finding.where["sample"], finding.severity) == (sample, severity)
    assert finding.evidence["decades"] == pytest.approx(decades[sample])


def test_samples_that_keep_exactly_nothing_do_not_differ() -> None:
    table = np.ones((3, 40))
    table[:, 20] = 0
    rules = {one.rule for one in rg.diagnose(rg.record(factors(table), lags=True)).findings}
    assert "sample_differs" not in rules


@pytest.mark.parametrize("read", [True, False])
def test_what_a_mask_discards_of_a_sample_has_not_died(read: bool) -> None:
    """Nothing goes back over step 8 of the last sample; what stands before it died only if a loss reads it there."""
    table, weights = np.full((4, 20), 0.9), np.ones((20, 4, 1))
    table[3, 8] = 0
    weights[:8, 3] = read
    diagnosis = rg.diagnose(rg.record(factors(table, [*enumerate(weights)]), lags=True), horizon=15)
    said = [(one.where["sample"], one.severity) for one in diagnosis.findings if one.rule == "sample_differs"]
    assert said == ([(3, "warning")] if read else [])


def test_what_a_later_loss_reads_is_no_less_dead_for_that_its_own_does_not() -> None:
    table, weights = np.full((4, 20), 0.9), np.ones((20, 4, 1))
    table[3, 15] = 0
    weights[:8, 3] = 0
    diagnosis = rg.diagnose(rg.record(factors(table, [*enumerate(weights)]), lags=True), horizon=15)
    assert found(diagnosis, "sample_differs").evidence["lag"] == 15


def test_of_three_layers_the_one_that_differs_is_named() -> None:
    layer = nn.LSTM(6, 16, num_layers=3, forget_bias=5.0)
    layer.parameter("b_l2").value[16:32] = -4
    hidden = layer(rg.Tape().input(np.random.default_rng(0).normal(size=(2, 60, 6))))
    layers = rg.diagnose(rg.record((hidden**2).sum(), lags=True)).by_layer
    assert [one.layer for one in layers if one.verdict != "healthy"] == [2]
    assert min(layers, key=lambda one: one.decades).layer == 2


@pytest.mark.parametrize(("step", "explodes"), [(0.9, False), (3.0, True)])
def test_a_jump_on_the_first_step_back_is_no_growth(step: float, explodes: bool) -> None:
    table = np.full((2, 12), step)
    table[:, -1] = 1000.0
    diagnosis = rg.diagnose(rg.record(factors(table), lags=True))
    assert any(one.rule == "exploding" for one in diagnosis.findings) == explodes
