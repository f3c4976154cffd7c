"""Zero and underflow apart: an underflow spreads to what it would have reached, and to nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import StateTrace, Trace

T = 12


def vanishing(cell: Any = rg.nn.RNN, *, loss_at: int = -1, gain: float = 1e-6, **options: Any) -> Trace:
    """Trace a float32 network whose gradient is below 1e-45 before it has come half of the way."""
    rng, tape = np.random.default_rng(0), rg.Tape()
    x = tape.input(rng.normal(size=(2, T, 3)).astype(np.float32))
    layer = cell(3, 4, gain=gain, dtype=np.float32, **options)
    head = rg.nn.Linear(8 if options.get("bidirectional") else 4, 5, dtype=np.float32, name="head")
    mask = np.zeros((2, T), bool)
    mask[:, loss_at] = True
    return rg.record(rg.nn.temporal_softmax_loss(head(layer(x)), np.zeros((2, T), int), mask))


def state(trace: Trace, name: str) -> StateTrace:
    return next(one for one in trace.states if one.name == name)


def steps(trace: Trace, name: str) -> list[int]:
    found = next(one.steps for one in trace.parameters if one.name == name)
    return [int(status) for status in found.status]


def has_underflow(magnitudes: Magnitudes) -> bool:
    return bool((magnitudes.status == Status.UNDERFLOW).any())


def test_a_head_after_the_recurrence_gets_true_zeros_where_no_loss_is() -> None:
    trace = vanishing()
    assert has_underflow(trace.states[0].grad)
    assert steps(trace, "head.W") == [Status.ZERO] * (T - 1) + [Status.OK]
    assert steps(trace, "rnn.Wx")[0] == Status.UNDERFLOW


def test_a_zero_initial_state_makes_a_true_zero_in_the_recurrent_weight() -> None:
    assert steps(vanishing(), "rnn.Wh")[:2] == [Status.ZERO, Status.UNDERFLOW]


def test_the_other_direction_has_true_zeros() -> None:
    trace = vanishing(bidirectional=True, loss_at=0)
    assert has_underflow(state(trace, "rnn.h_l0_reverse").grad)
    assert steps(trace, "rnn.Wx")[1:] == [Status.ZERO] * (T - 1)
    assert steps(trace, "rnn.Wx_l0_reverse")[-1] == Status.UNDERFLOW


def test_what_a_layer_passes_down_underflows_with_it() -> None:
    trace = vanishing(num_layers=2)
    upper, lower = state(trace, "rnn.h_l1"), state(trace, "rnn.h")
    lost = upper.grad.status == Status.UNDERFLOW
    assert lost.any()
    assert (lower.immediate.status[lost] == Status.UNDERFLOW).all()
    assert not has_underflow(upper.immediate)


def test_an_lstms_cell_state_underflows_below_its_hidden_state() -> None:
    trace = vanishing(rg.nn.LSTM, forget_bias=-20.0)
    lost = state(trace, "lstm.h").grad.status == Status.UNDERFLOW
    assert lost.any()
    assert (state(trace, "lstm.c").immediate.status[lost] == Status.UNDERFLOW).all()


def test_a_weight_whose_every_step_underflows_does_so_itself() -> None:
    trace = vanishing(gain=1e6)  # every unit is at 1 or -1, where tanh' is rounded to zero
    wh = next(one for one in trace.parameters if one.name == "rnn.Wh")
    assert wh.grad.status == Status.UNDERFLOW


def test_before_a_cut_there_are_true_zeros_behind_an_underflow() -> None:
    status = vanishing(gain=1e-20, truncate=4).states[0].grad.status
    assert status[8] == Status.UNDERFLOW
    assert status[:8].tolist() == [Status.ZERO] * 8


def encoder_decoder(gain: float = 1.0) -> Trace:
    """An encoder of 7 steps whose last state starts a decoder of 4 steps, the loss at its last."""
    rng, tape = np.random.default_rng(0), rg.Tape()
    x, z = (tape.input(rng.normal(size=(2, time, 3)).astype(np.float32), name) for time, name in ((7, "x"), (4, "z")))
    encoder = rg.nn.RNN(3, 5, name="encoder", dtype=np.float32)
    decoder = rg.nn.RNN(3, 5, name="decoder", dtype=np.float32, gain=gain, seed=1)
    mask = np.zeros((2, 4), bool)
    mask[:, -1] = True
    scores = rg.nn.Linear(5, 4, dtype=np.float32)(decoder(z, h0=encoder(x)[:, -1]))
    return rg.record(rg.nn.temporal_softmax_loss(scores, np.zeros((2, 4), int), mask))


def test_an_encoder_before_a_vanished_decoder_has_no_true_zeros() -> None:
    trace = encoder_decoder(gain=1e-14)
    assert state(trace, "decoder.h").initial.status == Status.UNDERFLOW
    assert state(trace, "encoder.h").grad.status.tolist() == [Status.UNDERFLOW] * 7
    assert state(trace, "encoder.h").immediate.status.tolist() == [Status.ZERO] * 6 + [Status.UNDERFLOW]
    assert steps(trace, "encoder.Wx") == [Status.UNDERFLOW] * 7


def test_a_short_recurrence_beside_a_long_one_is_not_observed_beyond_its_end(tmp_path: Any) -> None:
    trace = encoder_decoder()
    short = state(trace, "decoder.h")
    assert short.grad.status.tolist() == [Status.OK] * 4 + [Status.UNOBSERVED] * 3
    assert short.nodes[4:].tolist() == [-1, -1, -1]
    assert np.isnan(short.gain[4:]).all()
    assert short.quantiles.value.shape == (3, 7)
    trace.save(tmp_path / "run.npz")
    assert Trace.load(tmp_path / "run.npz").timesteps == 7
    assert rg.render(trace, tmp_path / "run.dot").exists()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_part_of_a_weight_that_is_a_product_of_small_numbers_underflows_and_is_not_zero(batch: int) -> None:
    x = np.full((batch, 4, 3), 1e-200)
    x[:, 1] = 0
    hidden = rg.nn.RNN(3, 5)(rg.Tape().input(x))
    trace = rg.record((hidden * 1e-200).sum())
    weight = next(one for one in trace.parameters if one.name == "rnn.Wx")
    assert weight.steps.status.tolist() == [Status.UNDERFLOW, Status.ZERO, Status.UNDERFLOW, Status.UNDERFLOW]


def test_what_is_carried_underflows_where_every_step_has_a_loss_of_its_own() -> None:
    layer = rg.nn.RNN(3, 5)
    layer.parameter("Wh").value[:] = 1e-200
    trace = rg.record((layer(rg.Tape().input(np.ones((2, 4, 3)))) * 1e-200).sum())
    assert trace.states[0].grad.status.tolist() == [Status.OK] * 4
    assert trace.states[0].carried.status.tolist() == [Status.UNDERFLOW] * 3 + [Status.ZERO]


@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_stretched_over_units_or_steps_has_true_zeros(batch: int) -> None:
    tape = rg.Tape()
    h = rg.nn.RNN(3, 4)(tape.input(np.random.default_rng(0).normal(size=(batch, T, 3))))
    score = h.sum(axis=2, keepdims=True)  # (N, T, 1)
    query = h[:, -1] if batch == 1 else h[:, -1].reshape(batch, 1, 4)  # (1, 4) is stretched over all steps
    trace = rg.record((((h * score) ** 2).sum() + ((h * query) ** 2).sum()) * 0.0)
    assert (state(trace, "rnn.h").grad.status == Status.ZERO).all()
