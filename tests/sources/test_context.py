"""How much of the past is used: delay lines that use exactly one step, and windows run one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import InputError
from rnngraph.sources.tape.reset import Resets

Array = Any
RANDOM = np.random.default_rng(0)


def delayed(lag: int, *, last: bool = False, time: int = 40, mask: Array = None) -> rg.Tensor:
    """A shift register that gives its input `lag` steps later, off by a tenth."""
    layer = nn.RNN(1, 12, nonlinearity="relu")
    for name, value in (("Wh", np.eye(12, k=1)), ("Wx", np.eye(1, 12)), ("b", 0.0)):
        layer.parameter(name).value[...] = value
    x = np.abs(RANDOM.normal(size=(5, time, 1)))
    hidden = layer(rg.Tape().input(x), mask=mask)
    target = np.concatenate([np.zeros((5, lag, 1)), x[:, : time - lag]], axis=1)
    apart = hidden @ np.eye(12)[:, lag : lag + 1] - target + 0.1
    if last:
        apart = apart[:, time - 1]
    return (apart * apart).mean()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("lag", [0, 1, 2, 3, 6, 9])
def test_a_delay_line_uses_its_delay(lag: int, last: bool) -> None:
    found = rg.context(delayed(lag, last=last))
    assert found.in_use == lag
    np.testing.assert_allclose(found.excess[found.lags >= lag], 0, atol=1e-12)
    assert (found.excess[found.lags < lag] > 0.1).all()


def test_the_verdict_at_the_lag_in_use() -> None:
    loss = delayed(6)
    lag = rg.context(loss).in_use
    diagnosis = rg.diagnose(rg.record(loss, lags=True), horizon=lag)
    assert diagnosis.healthy
    assert diagnosis.reach == 6
    assert diagnosis.decades == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cell", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("chunk", "phase"), [(4, 0), (4, 3), (5, 2), (20, 7), (1, 0)])
def test_every_chunk_is_as_if_it_were_run_alone(cell: Any, layers: int, chunk: int, phase: int) -> None:
    layer, x = cell(3, 4, num_layers=layers), RANDOM.normal(size=(2, 11, 3))
    tape = rg.Tape()
    hidden = layer(tape.input(x))
    found = Resets(tape, chunk, phase).value(hidden.id)
    edges = sorted({0, *range(phase, 11, chunk), 11})
    for start, stop in pairwise(edges):
        alone = layer(rg.Tape().input(x[:, start:stop])).value
        np.testing.assert_allclose(found[:, start:stop], alone, atol=1e-12)


def test_padding_is_copied_in_a_chunk_too() -> None:
    layer, x = nn.LSTM(3, 4), RANDOM.normal(size=(2, 9, 3))
    mask = RANDOM.random((2, 9)) < 0.7
    tape = rg.Tape()
    hidden = layer(tape.input(x), mask=mask)
    found = Resets(tape, 3, 0).value(hidden.id)
    alone = layer(rg.Tape().input(x[:, 3:6]), mask=mask[:, 3:6]).value
    np.testing.assert_allclose(found[:, 3:6], alone, atol=1e-12)


def test_what_comes_later_is_left_as_it_is() -> None:
    layer, x = nn.GRU(3, 4, bidirectional=True), RANDOM.normal(size=(2, 9, 3))
    tape = rg.Tape()
    hidden = layer(tape.input(x))
    found = Resets(tape, 3, 0).value(hidden.id)
    np.testing.assert_array_equal(found[..., 4:], hidden.value[..., 4:])
    assert not np.allclose(found[:, 3:, :4], hidden.value[:, 3:, :4])


def test_losses_are_those_of_windows() -> None:
    layer, head = nn.LSTM(3, 4), nn.Linear(4, 5)
    x, words = RANDOM.normal(size=(2, 30, 3)), RANDOM.integers(0, 5, (2, 30))
    loss = nn.temporal_softmax_loss(head(layer(rg.Tape().input(x))), words)
    found = rg.context(loss, most=8)
    for lag, kept in zip(found.lags.tolist(), found.kept.tolist(), strict=True):
        if lag != 8:
            continue
        windows = np.concatenate([x[:, s - 8 : s + 1] for s in _steps(loss, 8)])
        targets = np.concatenate([words[:, s] for s in _steps(loss, 8)])
        scores = head(layer(rg.Tape().input(windows))[:, 8]).value
        shifted = scores - scores.max(axis=1, keepdims=True)
        each = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
        assert kept == pytest.approx(float(each.mean()) / 2)  # a step's part of the loss is divided by the batch


def _steps(loss: rg.Tensor, lag: int) -> list[int]:
    later = np.arange(lag + 1, 30)
    chosen = later[np.linspace(0, len(later) - 1, 4).round().astype(int)]
    phases = {int(s - lag) % (lag + 1) for s in chosen}
    return [s for s in later.tolist() if (s - lag) % (lag + 1) in phases]


def test_a_network_that_has_learned_nothing_uses_nothing() -> None:
    layer = nn.RNN(3, 4)
    layer.parameter("Wh").value[...] = 0
    hidden = layer(rg.Tape().input(RANDOM.normal(size=(4, 20, 3))))
    assert rg.context(((hidden - 1.0) ** 2).sum()).in_use == 0


def test_nearly_all_of_the_past_is_used() -> None:
    layer = nn.RNN(1, 1, nonlinearity="relu")
    for name, value in (("Wh", 1.0), ("Wx", 1.0), ("b", 0.0)):
        layer.parameter(name).value[...] = value
    x = np.abs(RANDOM.normal(size=(4, 20, 1)))
    apart = layer(rg.Tape().input(x)) - np.cumsum(x, axis=1) + 1e-3
    # Without the first of 19 steps the square is off by (1 / 19)², which is next to nothing.
    assert int(rg.context((apart * apart).mean()).in_use or 0) >= 12
    assert rg.context((apart * apart).mean(), most=4).in_use is None


def _op() -> rg.Tensor:
    return (nn.RNN(3, 4, detail="op")(rg.Tape().input(np.ones((1, 6, 3))))[:, 5] ** 2).sum()


def _joint() -> rg.Tensor:
    return (nn.RNN(3, 4)(rg.Tape().input(RANDOM.normal(size=(2, 6, 3)))).mean(axis=1) ** 2).sum()


def _short() -> rg.Tensor:
    return (nn.RNN(3, 4)(rg.Tape().input(np.ones((1, 2, 3))))[:, 1] ** 2).sum()


def _mixed() -> rg.Tensor:
    hidden = nn.RNN(3, 4)(rg.Tape().input(RANDOM.normal(size=(2, 6, 3))))
    return (hidden[:, 2] ** 2).sum() + (hidden[:, 5] ** 2).sum()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_op, "detail='step'"), (_joint, "many steps at once"), (_short, "longer sequence"),
        (_mixed, "temporal_softmax_loss"),
        (lambda: (rg.Tape().input(np.ones((1, 3))) ** 2).sum(), "layers of this package"),
        (lambda: "loss", "is a str"),
    ],
)  # fmt: skip
def test_bad_input(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rg.context(make())
