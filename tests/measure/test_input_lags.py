"""The lag matrix at what a network is fed, against one ordinary sweep a loss and against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.backward import sweep
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.lags import measure_lags
from rnngraph.sources.tape.record import open_recording
from rnngraph.trace.model import InputLagTrace
from tests.measure.lag_networks import FULL, by_hand, captioner

Array = Any


def fed(loss: Any, options: LagOptions = FULL) -> tuple[InputLagTrace, ...]:
    return measure_lags(open_recording(loss), options)[1]


def one_by_one(loss: Any, *, node: int) -> Array:
    """Walk every timestep's loss back on its own: norms of the gradient of a node, (N, S, T)."""
    tape = loss.tape
    scores = next(one for one in tape.nodes if one.op.name == "temporal_softmax")
    outer = next(step.gradient.copy() for step in sweep(tape, {loss.id: np.ones(())}) if step.node is scores)
    batch, time = scores.value.shape
    found = np.zeros((batch, time, tape.entry(node).value.shape[1]))
    for s in range(time):
        cotangent = np.zeros_like(outer)
        cotangent[:, s] = outer[:, s]
        for step in sweep(tape, {scores.id: cotangent}):
            if step.node.id == node:
                found[:, s] = np.linalg.norm(step.gradient, axis=-1)
    return found


@pytest.mark.parametrize(
    "layer",
    [
        nn.RNN(3, 4), nn.LSTM(3, 4), nn.GRU(3, 4), nn.RNN(3, 4, nonlinearity="relu"), nn.LSTM(3, 4, num_layers=2),
        nn.GRU(3, 4, bidirectional=True), nn.LSTM(3, 4, num_layers=2, bidirectional=True), nn.RNN(3, 4, truncate=3),
        nn.LSTM(3, 4, detail="op"), nn.GRU(3, 4, num_layers=2, detail="op"),
        nn.RNN(3, 4, bidirectional=True, detail="op"), nn.RNN(3, 4, dtype=np.float32),
    ],
    ids=lambda layer: f"{layer.name}-{layer.num_layers}-{len(layer.directions)}-{layer.detail}-{layer.dtype}",
)  # fmt: skip
@pytest.mark.parametrize("masked", [False, True])
def test_as_one_sweep_a_loss(layer: Any, masked: bool) -> None:
    mask = np.arange(7) < np.array([[7], [5], [6]]) if masked else None
    loss = captioner(layer, mask=mask)
    (found,) = fed(loss)
    expected = one_by_one(loss, node=0)
    losses = measure_lags(open_recording(loss), FULL)[0][0].losses
    assert found.name == "x"
    assert found.recurrences[0] == layer.name
    tolerance = 1e-12 if layer.dtype == np.float64 else 1e-4
    np.testing.assert_allclose(np.exp(found.log), expected[:, losses], rtol=tolerance, atol=1e-30)


def test_a_few_samples_and_losses() -> None:
    loss = captioner(nn.LSTM(3, 4), batch=5, time=9)
    (found,) = fed(loss, LagOptions([2, 8], [1, 3]))
    np.testing.assert_allclose(np.exp(found.log), one_by_one(loss, node=0)[[1, 3]][:, [2, 8]], rtol=1e-12)


def test_words_that_were_looked_up() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    words = nn.Embedding(9, 3)(tape.input(rng.integers(0, 9, (2, 6)), "words"))
    scores = nn.Linear(4, 5)(nn.RNN(3, 4)(words))
    loss = nn.temporal_softmax_loss(scores, rng.integers(0, 5, (2, 6)))
    (found,) = fed(loss)
    np.testing.assert_allclose(np.exp(found.log), one_by_one(loss, node=words.id), rtol=1e-12)


def test_features_that_a_linear_layer_made() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    features = nn.Linear(5, 3)(tape.input(rng.normal(size=(2, 6, 5))))
    scores = nn.Linear(4, 5)(nn.GRU(3, 4)(features))
    loss = nn.temporal_softmax_loss(scores, rng.integers(0, 5, (2, 6)))
    (found,) = fed(loss)
    np.testing.assert_allclose(np.exp(found.log), one_by_one(loss, node=features.id), rtol=1e-12)


def test_a_way_around_the_lower_layer_counts() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    x = tape.input(rng.normal(size=(2, 6, 4)))
    scores = nn.Linear(4, 5)(nn.RNN(4, 4, name="upper")(x + nn.RNN(4, 4)(x)))
    loss = nn.temporal_softmax_loss(scores, rng.integers(0, 5, (2, 6)))
    (found,) = fed(loss)
    np.testing.assert_allclose(np.exp(found.log), one_by_one(loss, node=x.id), rtol=1e-12)
    assert found.recurrences == ("rnn",)


def test_encoder_and_decoder_are_fed_both() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    x, y = tape.input(rng.normal(size=(2, 6, 3)), "x"), tape.input(rng.normal(size=(2, 4, 3)), "y")
    read = nn.RNN(3, 4, name="encoder")(x)
    scores = nn.Linear(4, 5)(nn.RNN(3, 4, name="decoder")(y, h0=read[:, 5]))
    loss = nn.temporal_softmax_loss(scores, rng.integers(0, 5, (2, 4)))
    found = {one.name: one for one in fed(loss)}
    assert {name: one.recurrences for name, one in found.items()} == {"x": ("encoder",), "y": ("decoder",)}
    for name, node in (("x", x.id), ("y", y.id)):
        np.testing.assert_allclose(np.exp(found[name].log), one_by_one(loss, node=node), rtol=1e-12)


def test_a_cell_by_hand_that_reads_a_step_at_a_time() -> None:
    # h_t = h_{t-1} / 2 + x_t, and the loss is h_T: a half for every step back.
    loss = by_hand(
        lambda h, x: h * 0.5 + x, np.zeros((3, 2)), time=6, readout=np.ones(2), losses=[5], inputs=np.ones((3, 6, 2))
    )
    (found,) = fed(loss)
    expected = math.sqrt(2) * 0.5 ** np.arange(5.0, -1, -1)
    np.testing.assert_allclose(np.exp(found.log), np.broadcast_to(expected, (3, 1, 6)))


def test_far_below_what_a_float_can_hold() -> None:
    # A step keeps 1e-3 of it: 1e-1197 is left of the last loss at the first input.
    layer = nn.RNN(1, 1, nonlinearity="relu")
    for name, value in (("Wh", 1e-3), ("Wx", 1.0), ("b", 0.0)):
        layer.parameter(name).value[...] = value
    tape = rg.Tape()
    loss = layer(tape.input(np.ones((1, 400, 1))))[:, 399].sum()
    (found,) = fed(loss)
    np.testing.assert_allclose(found.log[0, 0], np.arange(-399, 1) * math.log(1000), atol=1e-9)


def test_far_below_in_bands_that_meet_at_one_input() -> None:
    # Two layers read one input: what comes over one way is 1e-400 of what comes over the other.
    tape = rg.Tape()
    x = tape.input(np.ones((1, 300, 1)))
    outputs = []
    for name, weight in (("keeps", 1.0), ("forgets", 1e-3)):
        layer = nn.RNN(1, 1, nonlinearity="relu", name=name)
        for key, value in (("Wh", weight), ("Wx", 1.0), ("b", 0.0)):
            layer.parameter(key).value[...] = value
        outputs.append(layer(x)[:, 299])
    (found,) = fed((outputs[0] + outputs[1]).sum())
    expected = np.log1p(np.exp(np.arange(-299, 1) * math.log(1000)))
    np.testing.assert_allclose(found.log[0, 0], expected, atol=1e-12)
    assert found.recurrences == ("keeps", "forgets")


def test_a_long_walk_in_windows_is_the_short_one_shifted() -> None:
    layer = nn.RNN(2, 3, init="orthogonal")
    layer.parameter("Wx").value[...] *= 1e-9  # linear, so that a step does what every other step does
    tape = rg.Tape()
    loss = (layer(tape.input(np.ones((2, 3000, 2)))) * np.array([1.0, 2.0, 3.0])).sum()
    (found,) = fed(loss, LagOptions([100, 2999]))
    np.testing.assert_allclose(found.log[:, 0, :101], found.log[:, 1, 2899:], atol=1e-9)
    assert (found.log[:, 0, 101:] == -np.inf).all()


def test_lags_that_were_not_followed() -> None:
    loss = captioner(nn.RNN(3, 4, bidirectional=True), time=9)
    (found,) = fed(loss, LagOptions("all", "all", max_lag=2))
    apart = np.abs(np.arange(9)[:, None] - np.arange(9))
    assert (np.isnan(found.log) == (apart > 2)).all()


def test_a_loss_that_reads_many_steps_is_one() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    x = tape.input(rng.normal(size=(3, 8, 3)))
    hidden = nn.RNN(3, 4)(x)
    loss = (hidden.mean(axis=1) ** 2).sum()
    states, (found,), _ = measure_lags(open_recording(loss), FULL)
    assert states[0].losses.tolist() == [7]
    assert states[0].available == 1
    whole = next(step.gradient.copy() for step in sweep(tape, {loss.id: np.ones(())}) if step.node.id == x.id)
    np.testing.assert_allclose(np.exp(found.log[:, 0]), np.linalg.norm(whole, axis=-1), rtol=1e-12)
    assert measure_lags(open_recording(loss), LagOptions([2, 5]))[0][0].losses.tolist() == [7]


def test_both_ends_are_one_loss() -> None:
    tape, rng = rg.Tape(), np.random.default_rng(0)
    x = tape.input(rng.normal(size=(3, 8, 3)))
    hidden = nn.LSTM(3, 4, bidirectional=True)(x)
    ends = rg.concatenate([hidden[:, 7, :4], hidden[:, 0, 4:]], axis=-1)
    loss = ((ends @ rng.normal(size=(8, 2))) ** 2).sum()
    states, (found,), _ = measure_lags(open_recording(loss), FULL)
    assert [one.losses.tolist() for one in states] == [[7]] * 4
    assert found.recurrences == ("lstm", "lstm_l0_reverse")
    whole = next(step.gradient.copy() for step in sweep(tape, {loss.id: np.ones(())}) if step.node.id == x.id)
    np.testing.assert_allclose(np.exp(found.log[:, 0]), np.linalg.norm(whole, axis=-1), rtol=1e-12)


def test_saved_and_read_back(tmp_path: Any) -> None:
    trace = rg.record(captioner(nn.LSTM(3, 4, bidirectional=True)), lags=True)
    trace.save(tmp_path / "run.npz")
    again = rg.Trace.load(tmp_path / "run.npz")
    assert again.input_lags[0].recurrences == ("lstm", "lstm_l0_reverse")
    np.testing.assert_array_equal(again.input_lags[0].log, trace.input_lags[0].log)
