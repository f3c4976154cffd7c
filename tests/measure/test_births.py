"""Where a loss enters a recurrence: at its own step in a stack, at the end of an encoder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.curve import lag_curve
from rnngraph.diagnosis.sums import sums_of
from rnngraph.measure.lag_options import LagOptions
from tests.linear_cells import orthogonal
from tests.measure.lag_networks import captioner, measured


def encoder_and_decoder(encoded: int, decoded: int) -> Any:
    """h halves at every step of the encoder and is kept by the decoder, which bears a loss at every step."""
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 3)), "h0")
    states: dict[str, list[Any]] = {"encoder.h": [], "decoder.h": []}
    for name, time, factor in (("encoder.h", encoded, 0.5), ("decoder.h", decoded, 1.0)):
        for t in range(time):
            with tape.scope(t=t):
                h = h * factor
            states[name].append(h)
    tape.state("encoder.h", states["encoder.h"], initial=start)
    tape.state("decoder.h", states["decoder.h"], initial=states["encoder.h"][-1])
    total = states["decoder.h"][0].sum()
    for h in states["decoder.h"][1:]:
        total = total + h.sum()
    return total


@pytest.mark.parametrize(("encoded", "decoded"), [(40, 5), (40, 1), (5, 6), (6, 6)])
def test_a_decoders_losses_enter_its_encoder_at_the_end(encoded: int, decoded: int, tmp_path: Any) -> None:
    trace = rg.record(encoder_and_decoder(encoded, decoded), lags=LagOptions("all", "all"))
    encoder, decoder = trace.lags
    assert (encoder.arrivals == encoded - 1).all()
    np.testing.assert_array_equal(decoder.arrivals, [list(range(decoded))] * 2)
    curve = lag_curve([encoder], "forward")
    np.testing.assert_allclose(curve.median, math.log(0.5) * np.arange(1, encoded), rtol=1e-12)
    assert (sums_of(curve.credit).pairs == 2 * decoded).all()
    assert curve.credit.seeds == 2 * decoded
    np.testing.assert_allclose(lag_curve([decoder], "forward").median, 0, atol=1e-12)
    trace.save(tmp_path / "run.npz")
    np.testing.assert_array_equal(rg.Trace.load(tmp_path / "run.npz").lags[0].arrivals, encoder.arrivals)


def test_an_encoder_that_forgets_is_not_healthy() -> None:
    diagnosis = rg.diagnose(rg.record(encoder_and_decoder(40, 3), lags=True))
    assert diagnosis.verdict == "vanishing"
    assert diagnosis.horizon == 39
    assert diagnosis.decades == pytest.approx(38 * math.log10(0.5))  # of what there is at lag 1


@pytest.mark.parametrize("layers", [{"num_layers": 2}, {"num_layers": 2, "bidirectional": True}])
def test_losses_enter_the_layers_of_a_stack_at_their_own_step(layers: dict[str, Any]) -> None:
    for trace in measured(captioner(nn.LSTM(4, 6, **layers))).values():
        np.testing.assert_array_equal(trace.arrivals, [list(range(7))] * 3)


def encoder_read_by_every_step(encoded: int, decoded: int, losses: list[int], factor: float = 0.5) -> Any:
    """An encoder h @ (factor Q), of which the last state is read by every step of a decoder that keeps its own."""
    weight, tape = orthogonal(4), rg.Tape()
    h = tape.input(np.ones((2, 4)), "h0")
    states: dict[str, list[Any]] = {"encoder.h": [], "decoder.h": []}
    for t in range(encoded):
        with tape.scope(t=t):
            h = h @ (factor * weight)
        states["encoder.h"].append(h)
    out = h
    for t in range(decoded):
        with tape.scope(t=t):
            out = out @ weight + h @ (0.3 * weight)
        states["decoder.h"].append(out)
    for name, tensors in states.items():
        tape.state(name, tensors)
    total = None
    for s in losses:
        part = (states["decoder.h"][s] * np.arange(1.0, 5)).sum()
        total = part if total is None else total + part
    return total


@pytest.mark.parametrize("encoded", [20, 21, 22, 40])
def test_a_step_that_happens_to_agree_is_not_in_step(encoded: int) -> None:
    trace = rg.record(encoder_read_by_every_step(encoded, 40, [0, 1, 2]), lags=LagOptions("all", "all"))
    assert (trace.lags[0].arrivals == encoded - 1).all()
    curve = lag_curve([trace.lags[0]], "forward")
    np.testing.assert_allclose(curve.median, math.log(0.5) * np.arange(1, encoded), rtol=1e-9)


def test_a_largest_lag_is_counted_in_the_encoders_own_steps() -> None:
    loss = encoder_read_by_every_step(10, 40, [13], factor=1.0)
    encoder = rg.record(loss, lags=LagOptions(max_lag=5)).lags[0]
    assert np.isnan(encoder.log[0, 0, :5]).all()
    np.testing.assert_allclose(np.diff(encoder.log[0, 0, 5:]), 0, atol=1e-12)


def test_one_loss_on_the_encoder_does_not_put_it_in_step_with_the_others() -> None:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    encoded = nn.RNN(4, 16, name="enc")(tape.input(rng.normal(size=(3, 60, 4)), "x"))[:, 59]
    decoded = nn.RNN(4, 16, seed=1, name="dec")(tape.input(rng.normal(size=(3, 10, 4)), "y"), encoded)
    trace = rg.record((decoded * decoded).mean() + (encoded * encoded).mean() * 0.1, lags=True)
    assert (trace.lags[0].arrivals == 59).all()
    assert rg.diagnose(trace).verdict == "vanishing"


@pytest.mark.parametrize("layer", [nn.LSTM(4, 6, num_layers=2), nn.GRU(4, 6, num_layers=3), nn.RNN(4, 6, num_layers=2)])
def test_samples_that_end_early_are_judged_in_every_layer(layer: Any) -> None:
    # The last state is read, which short samples have copied from where they ended.
    lengths = np.array([20, 14, 9, 5])
    keep = np.arange(20) < lengths[:, None]
    hidden = layer(rg.Tape().input(np.random.default_rng(0).normal(size=(4, 20, 4))), mask=keep)
    loss = hidden[:, 19].sum()
    trace = rg.record(loss, lags=True)
    for lags in trace.lags:
        curve = lag_curve([lags], "forward")
        np.testing.assert_array_equal(sums_of(curve.credit).pairs, [(lengths > lag).sum() for lag in range(1, 20)])
        np.testing.assert_array_equal((~np.isnan(curve.sample_median)).sum(axis=1), lengths - 1)
    below = next(lags for lags in trace.lags if lags.state.endswith(".h"))
    np.testing.assert_array_equal(below.arrivals[:, 0], lengths - 1)
    together = lag_curve([lags for lags in trace.lags if lags.state.endswith("_l1")], "forward")
    np.testing.assert_array_equal(sums_of(together.credit).pairs, [(lengths > lag).sum() for lag in range(1, 20)])


@pytest.mark.parametrize("detail", ["step", "op"])
def test_behind_the_end_of_a_sample_the_layer_below_is_not_measured(detail: str) -> None:
    # Open ReLUs, h1_t = h1_{t-1} / 2 + x_t and h2_t = h2_{t-1} / 4 + h1_t: ∂h2_s/∂h1_k = 2^-n (2 - 2^-n), n = s - k.
    layer = nn.RNN(1, 1, nonlinearity="relu", num_layers=2, detail=detail)
    for name, carry in (("", 0.5), ("_l1", 0.25)):
        layer.parameter("Wh" + name).value[...] = carry
        layer.parameter("Wx" + name).value[...] = 1
    lengths, time = np.array([6, 4, 1]), 6
    hidden = layer(rg.Tape().input(np.ones((3, time, 1))), mask=np.arange(time) < lengths[:, None])
    below = measured(hidden[:, time - 1].sum())["rnn.h"].log[:, 0, 1:]
    steps = lengths[:, None] - 1.0 - np.arange(time)
    halved = 2.0 ** -np.maximum(steps, 0)
    expected = np.where(steps >= 0, np.log(halved * (2 - halved)), np.nan)
    np.testing.assert_allclose(below, expected, rtol=1e-13, atol=1e-15)
