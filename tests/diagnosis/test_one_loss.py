"""What is left of one loss: against factors that are known exactly, and which loss is looked from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.diagnosis.credit import Credit
from rnngraph.diagnosis.one_loss import Losses
from rnngraph.trace.model import Trace


def linear(r: float, *, timesteps: int = 20, bidirectional: bool = False, last: bool = False) -> Trace:
    """Record a tanh network at rest, of which every step back keeps exactly `r`."""
    tape, rng = rg.Tape(), np.random.default_rng(3)
    layer = rg.nn.RNN(3, 4, bidirectional=bidirectional)
    for parameter in layer.parameters():
        parameter.value[...] = r * np.eye(4) if "Wh" in parameter.name else 0.0
    h = layer(tape.input(np.zeros((2, timesteps, 3))))
    weight = rng.normal(size=h.shape[2])
    read = h[:, timesteps - 1] if last else h
    return rg.record((read * weight).sum(), lags=True)


@pytest.mark.parametrize("r", [0.5, 1.0, 1.3])
def test_a_step_back_keeps_its_factor(r: float) -> None:
    losses = Losses(linear(r))
    seen = losses.seen_from(losses.furthest())
    (walk,) = seen.walks
    assert seen.timestep == 19
    np.testing.assert_array_equal(walk.steps, range(19, -1, -1))
    np.testing.assert_allclose([*walk.decades, walk.initial], np.arange(21) * np.log10(r), atol=1e-12)
    assert walk.factor(3) == pytest.approx(r, abs=1e-12)


def test_two_directions_are_seen_from_the_middle() -> None:
    losses = Losses(linear(0.5, bidirectional=True))
    seen = losses.seen_from(losses.furthest())
    assert seen.timestep in (9, 10)
    forward, reverse = seen.walks
    assert forward.steps.tolist() == [*range(seen.timestep, -1, -1)]
    assert reverse.steps.tolist() == [*range(seen.timestep, 20)]


def test_a_loss_that_was_not_measured_is_named_with_its_neighbours() -> None:
    losses = Losses(linear(0.5, last=True))
    assert losses.timesteps == ((0, 19),)
    with pytest.raises(rg.InputError, match="no loss at t=7 was measured: the nearest is at t=19"):
        losses.at(7)


def test_a_recurrence_without_lags_is_passed_by() -> None:
    trace = linear(0.5, bidirectional=True)
    losses = Losses(replace(trace, lags=trace.lags[:1]))
    assert [walk.name for walk in losses.seen_from(losses.furthest()).walks] == ["rnn.h"]
    assert losses.seen_from(losses.furthest()).timestep == 19


def test_a_loss_is_chosen_in_words() -> None:
    trace = linear(0.5)
    for wanted, timestep in (("last", 19), (7, 7), ("7", 7)):
        found = seen(trace, wanted)
        assert found is not None
        assert found.timestep == timestep
    assert seen(trace, "total") is None
    bare = replace(trace, lags=())
    assert seen(bare) is None
    for asked in (3, "last"):  # what is asked for must be there
        with pytest.raises(rg.InputError, match="lags=True"):
            seen(bare, asked)
    for wrong, words in (
        ("lsat", "lsat.*did you mean last"),
        (-1, "-1"),
        (True, "True"),
        ("x" * 9, "timestep"),
        (1.0, "1.0"),
    ):
        with pytest.raises(rg.InputError, match=words):
            seen(trace, wrong)  # type: ignore[arg-type]


def test_samples_that_end_before_the_loss_do_not_dilute_it() -> None:
    losses = keeping_a_half(np.arange(12) < np.array([12, 6, 5])[:, None], 11)
    found = losses.seen_from(losses.furthest())
    assert found.samples == 1
    (walk,) = found.walks
    np.testing.assert_allclose([*walk.decades, walk.initial], np.arange(13) * np.log10(0.5), atol=1e-12)


def test_padding_before_the_first_step_is_no_cut() -> None:
    losses = keeping_a_half(np.tile(np.arange(9) >= 3, (2, 1)), 8)
    (walk,) = losses.seen_from(losses.furthest()).walks
    assert walk.steps.tolist() == [8, 7, 6, 5, 4, 3]
    assert not walk.cut
    np.testing.assert_allclose([*walk.decades, walk.initial], np.arange(7) * np.log10(0.5), atol=1e-12)


def test_the_median_is_that_of_the_samples() -> None:
    trace = linear(0.5)
    (lags,) = trace.lags
    log = lags.log.copy()
    log[1, -1, 1:] -= (19 - np.arange(20)) * np.log(2)  # the second sample keeps a quarter
    losses = Losses(replace(trace, lags=(replace(lags, log=log),)))
    (walk,) = losses.seen_from(losses.at(19)).walks
    np.testing.assert_allclose(walk.decades, np.arange(20) * np.log10(np.sqrt(0.5 * 0.25)), atol=1e-12)


def keeping_a_half(mask: Any, read: int) -> Losses:
    """A layer that keeps a half, whose one loss reads one step."""
    layer = rg.nn.RNN(3, 4)
    for parameter in layer.parameters():
        parameter.value[...] = 0.5 * np.eye(4) if "Wh" in parameter.name else 0.0
    h = layer(rg.Tape().input(np.zeros((*mask.shape, 3))), mask=mask)
    return Losses(rg.record(h[:, read].sum(), lags=True))


def test_where_the_loss_is_on_padding_the_longest_samples_are_told_of() -> None:
    losses = keeping_a_half(np.arange(12) < np.array([9, 6, 9])[:, None], 11)
    found = losses.seen_from(losses.furthest())
    assert found.samples == 2
    (walk,) = found.walks
    assert walk.steps.tolist() == [*range(8, -1, -1)]
    np.testing.assert_allclose([*walk.decades, walk.initial], np.arange(10) * np.log10(0.5), atol=1e-12)


def test_the_sample_with_most_steps_gives_the_row() -> None:
    mask = np.ones((2, 8), bool)
    mask[0, 3:5] = False
    losses = keeping_a_half(mask, 7)
    assert losses.seen_from(0).walks[0].steps.tolist() == [*range(7, -1, -1)]
    assert losses._room(0) == (8, 8, 0)


def test_a_row_a_layer_or_a_row_a_state() -> None:
    def rows(layers: int, split: bool | None) -> list[str]:
        hidden = rg.nn.LSTM(3, 4, num_layers=layers, seed=1)(rg.Tape().input(np.ones((2, 6, 3))))
        return [walk.name for walk in Losses(rg.record(hidden.sum(), lags=True)).seen_from(0, split=split).walks]

    assert rows(1, None) == rows(1, True) == ["lstm.h", "lstm.c"]
    assert rows(1, False) == ["lstm"]
    assert rows(2, None) == rows(2, False) == ["lstm", "lstm_l1"]
    assert rows(2, True) == ["lstm.h", "lstm.c", "lstm.h_l1", "lstm.c_l1"]


def test_a_cut_before_every_step() -> None:
    hidden = rg.nn.RNN(3, 4, truncate=1)(rg.Tape().input(np.zeros((2, 3, 3))))
    losses = Losses(rg.record(hidden.sum(), lags=True))
    ends = [losses.seen_from(losses.at(t)).walks[0] for t in range(3)]
    assert [(walk.steps.tolist(), walk.cut) for walk in ends] == [([0], False), ([1], True), ([2], True)]
    assert [math.isnan(walk.initial) for walk in ends] == [False, True, True]


def test_how_far_a_loss_can_go_where_a_layer_does_not_hear_it() -> None:
    tape = rg.Tape()
    one, other = (rg.nn.RNN(3, 4, name=name)(tape.input(np.ones((2, 8, 3)))) for name in ("one", "other"))
    losses = Losses(rg.record(one[:, 7].sum() + other[:, 4].sum(), lags=True))
    assert {t: losses._room(losses.at(t))[:2] for _, t in losses.timesteps} == {7: (8, 0), 4: (5, 0)}


def test_a_walk_ends_at_a_cut() -> None:
    tape = rg.Tape()
    layer = rg.nn.RNN(3, 4, truncate=4)
    for parameter in layer.parameters():
        parameter.value[...] = 0.5 * np.eye(4) if "Wh" in parameter.name else 0.0
    losses = Losses(rg.record(layer(tape.input(np.zeros((2, 10, 3)))).sum(), lags=True))
    for timestep, steps, cut in ((9, [9, 8], True), (7, [7, 6, 5, 4], True), (3, [3, 2, 1, 0], False)):
        (walk,) = losses.seen_from(losses.at(timestep)).walks
        assert walk.steps.tolist() == steps
        assert walk.lags.tolist() == list(range(len(steps)))
        assert walk.cut == cut == math.isnan(walk.initial)


def two_networks(layers: int, *, mask: Any = None, padded: Any = None) -> Losses:
    """An encoder of 6 steps that keeps a half, whose last state a decoder of 4 steps takes on, which keeps a tenth."""
    tape = rg.Tape()
    encoder, decoder = (rg.nn.RNN(3, 3, num_layers=layers, name=name) for name in ("encoder", "decoder"))
    for layer, kept in ((encoder, 0.5), (decoder, 0.1)):
        for parameter in layer.parameters():
            own = kept * np.eye(3) if "Wh" in parameter.name else np.eye(3)
            parameter.value[...] = own if "W" in parameter.name else 0.0
    hidden = encoder(tape.input(np.zeros((3, 6, 3))), mask=mask)
    decoded = decoder(tape.input(np.zeros((3, 4, 3))), hidden[:, 5], mask=padded)
    return Losses(rg.record(decoded[:, 3].sum(), lags=True))


def test_an_encoder_is_of_the_currency_of_what_the_loss_enters() -> None:
    losses = two_networks(1)
    backwards = Losses(replace(losses.trace, recurrences=losses.trace.recurrences[::-1]))
    assert backwards.seen_from(0).walks[1].lags.tolist() == [4, 5, 6, 7, 8, 9]
    found = losses.seen_from(losses.furthest())
    decoder, encoder = found.downwards
    assert (decoder.name, encoder.name) == ("decoder.h", "encoder.h")
    assert decoder.lags.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose([*decoder.decades, decoder.initial], [0, -1, -2, -3, -4], atol=1e-12)
    # Four steps were taken before the loss entered; what arrives is what the decoder's initial state has.
    assert encoder.lags.tolist() == [4, 5, 6, 7, 8, 9]
    np.testing.assert_allclose([*encoder.decades, encoder.initial], -4 + np.arange(7) * np.log10(0.5), atol=1e-12)


def test_of_how_many_samples_is_told_by_the_row_that_hears_most() -> None:
    # Of the third sample the decoder's last step is padding: the loss is not at its lag 0. The encoder hears all three.
    padded = np.ones((3, 4), bool)
    padded[2, 3] = False
    losses = two_networks(1, padded=padded)
    found = losses.seen_from(losses.furthest())
    assert found.samples == 3
    np.testing.assert_allclose(found.downwards[0].decades, [0, -1, -2, -3], atol=1e-12)


def test_a_state_without_lags_is_left_out() -> None:
    tape = rg.Tape()
    h = rg.nn.LSTM(3, 4, seed=1)(tape.input(np.ones((2, 6, 3))))
    trace = rg.record((h * 1.0).sum(), lags=True)
    alone = replace(trace, lags=tuple(one for one in trace.lags if one.state == "lstm.h"))
    losses = Losses(alone)
    (walk,) = losses.seen_from(losses.furthest()).walks
    assert walk.states == ("lstm.h",)
    assert walk.decades[0] == 0  # of itself, as nothing else is known


@pytest.mark.parametrize("copied", [[1, 1, 1, 1], [0, 0, 1, 1]])
def test_where_all_is_padding_as_far_as_a_cut_a_loss_reaches_nothing(copied: list[int]) -> None:
    severed, there = np.array([[0, 0, 1, 0]], bool), np.ones((1, 1), bool)
    credit = Credit(np.zeros((1, 1, 4)), np.array([[3]]), np.array([copied], bool), severed, False, there)
    assert credit.walked.tolist() == [[0]]
    assert credit.reached.tolist() == [[False]]
