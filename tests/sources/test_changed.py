"""A tape that is computed again with changed weights, against the same network recorded with those weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.lags import measure_lags
from rnngraph.nn import init
from rnngraph.sources.tape.changed import SEED
from rnngraph.sources.tape.record import open_recording, trial
from rnngraph.trace.change import BIAS, CHRONO, IDENTITY, INPUTS, OPEN, ORTHOGONAL, SCALE, Change

Array = Any
RANDOM = np.random.default_rng(0)
X, WORDS = RANDOM.normal(size=(3, 12, 3)), RANDOM.integers(0, 5, (3, 12))
FEW = LagOptions(8, 8, updates=False)


def loss_of(layer: Any, *, embedding: bool = False) -> rg.Tensor:
    tape = rg.Tape()
    x = nn.Embedding(5, 3)(tape.input(WORDS, "words")) if embedding else tape.input(X)
    return nn.temporal_softmax_loss(nn.Linear(layer.hidden_size * len(layer.directions), 5)(layer(x)), WORDS)


def scaled(layer: Any) -> None:
    for parameter in layer.parameters():
        if ".Wh" in parameter.name:
            parameter.value[...] *= 1.7


def turned(layer: Any) -> None:
    drawn = init.orthogonal(np.random.default_rng(SEED), (4, 4))
    for parameter in layer.parameters():
        if ".Wh" in parameter.name:
            parameter.value[...] = 0.9 * drawn


def straight(layer: Any) -> None:
    layer.parameter("Wh").value[...] = 2 * np.eye(4)
    layer.parameter("b").value[...] = 0


def forgetting(layer: Any) -> None:
    layer.parameter("b").value[4:8] = 2.5
    if "gru.bh" in {parameter.name for parameter in layer.parameters()}:
        layer.parameter("bh").value[4:8] = 0


def quiet(layer: Any) -> None:
    for parameter in layer.parameters():
        if ".Wh" not in parameter.name:
            parameter.value[...] *= 0.25


def opened(layer: Any) -> None:
    for part in (slice(0, 4), slice(8, 16)):
        layer.parameter("b").value[part] = -1.5


@pytest.mark.parametrize(
    ("make", "change", "by_hand"),
    [
        (lambda: nn.RNN(3, 4), Change(SCALE, 1.7), scaled),
        (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True), Change(SCALE, 1.7), scaled),
        (lambda: nn.RNN(3, 4, detail="op"), Change(SCALE, 1.7), scaled),
        (lambda: nn.GRU(3, 4, num_layers=2, detail="op"), Change(SCALE, 1.7), scaled),
        (lambda: nn.RNN(3, 4, num_layers=2), Change(ORTHOGONAL, 0.9), turned),
        (lambda: nn.RNN(3, 4, nonlinearity="relu"), Change(IDENTITY, 2), straight),
        (lambda: nn.LSTM(3, 4), Change(BIAS, 2.5), forgetting),
        (lambda: nn.GRU(3, 4), Change(BIAS, 2.5), forgetting),
        (lambda: nn.GRU(3, 4), Change(INPUTS, 0.25), quiet),
        (lambda: nn.LSTM(3, 4, detail="op"), Change(INPUTS, 0.25), quiet),
        (lambda: nn.LSTM(3, 4), Change(OPEN, -1.5), opened),
    ],
)
@pytest.mark.parametrize("embedding", [False, True])
def test_as_recorded_with_those_weights(
    make: Callable[[], Any], change: Change, by_hand: Callable[[Any], None], embedding: bool
) -> None:
    found = trial(loss_of(make(), embedding=embedding)).lags([change])
    layer = make()
    by_hand(layer)
    expected = measure_lags(open_recording(loss_of(layer, embedding=embedding)), FEW)
    assert found is not None
    for states, others in ((found[0], expected[0]), (found[1], expected[1])):
        for one, other in zip(states, others, strict=True):
            np.testing.assert_allclose(one.log, other.log, atol=1e-9)  # type: ignore[attr-defined]


def test_chrono_opens_the_forget_gate_and_shuts_the_input_gate() -> None:
    layer = nn.LSTM(3, 4)
    found = trial(loss_of(layer)).lags([Change(CHRONO, 50)])
    drawn = init.chrono(np.random.default_rng(SEED), 4, horizon=50)
    layer.parameter("b").value[4:8], layer.parameter("b").value[:4] = drawn, -drawn
    expected = measure_lags(open_recording(loss_of(layer)), FEW)
    assert found is not None
    np.testing.assert_allclose(found[0][1].log, expected[0][1].log, atol=1e-9)


def test_changes_follow_each_other() -> None:
    found = trial(loss_of(nn.RNN(3, 4, num_layers=2))).lags([Change(SCALE, 0.5), Change(SCALE, 3.0)])
    layer = nn.RNN(3, 4, num_layers=2)
    layer.parameter("Wh").value[...] *= 1.5
    layer.parameter("Wh_l1").value[...] *= 1.5
    expected = measure_lags(open_recording(loss_of(layer)), FEW)
    assert found is not None
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(one.log, other.log, atol=1e-9)


def test_what_was_recorded_stays_as_it_is() -> None:
    loss = loss_of(nn.LSTM(3, 4))
    before = measure_lags(open_recording(loss), FEW)[0][0].log
    tries = trial(loss)
    tries.lags([Change(SCALE, 3.0)])
    tries.truncation(3)
    np.testing.assert_array_equal(measure_lags(open_recording(loss), FEW)[0][0].log, before)
    again = tries.lags([])
    assert again is not None
    np.testing.assert_array_equal(again[0][0].log, before)


@pytest.mark.parametrize("cell", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("length", [1, 3, 5])
def test_chunks_change_the_gradient_by_what_is_said(cell: Any, length: int) -> None:
    whole, cut = cell(3, 4, num_layers=2), cell(3, 4, num_layers=2, truncate=length)
    names = [parameter.name for parameter in whole.parameters()]
    one, other = (rg.gradients(loss_of(layer)) for layer in (whole, cut))
    apart = np.concatenate([(one[name] - other[name]).ravel() for name in names])
    size = np.concatenate([one[name].ravel() for name in names])
    found = trial(loss_of(whole)).truncation(length)
    assert found == pytest.approx(np.linalg.norm(apart) / np.linalg.norm(size), rel=1e-9)


def test_what_cannot_be_changed_is_not() -> None:
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 3)))
    states = []
    for t in range(6):
        with tape.scope(t=t):
            h = (h * 0.5).tanh()
        states.append(h)
    tape.state("cell.h", states, initial=start)
    tries = trial(h.sum())
    assert tries.able
    assert tries.lags([Change(SCALE, 2.0)]) is None
    assert tries.truncation(2) is None
    assert trial(loss_of(nn.RNN(3, 4))).lags([Change(BIAS, 1.0)]) is None  # no gate keeps its state
    assert trial(loss_of(nn.LSTM(3, 4))).lags([Change(ORTHOGONAL)]) is None
    assert trial(loss_of(nn.LSTM(3, 4))).lags([Change(CHRONO, 2)]) is None


def test_a_loss_that_is_walked_from_its_outputs() -> None:
    tape = rg.Tape()
    layer = nn.RNN(3, 4)
    hidden = layer(tape.input(X))
    tape.starts = {hidden.id: np.ones((3, 12, 4))}
    found = trial(tape).lags([Change(SCALE, 1.7)])
    scaled(layer)
    again = rg.Tape()
    expected = measure_lags(open_recording(layer(again.input(X)).sum()), FEW)
    assert found is not None
    np.testing.assert_allclose(found[1][0].log, expected[1][0].log, atol=1e-9)
