from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from rnngraph.sources import captions
from rnngraph.sources.captions import END, NULL, START, VOCABULARY, decode, describe
from rnngraph.sources.demo import CELLS, DemoOptions, batch_of, build, title
from rnngraph.sources.digits import load_digits


def test_without_timesteps_captions_are_padded_and_the_longest_comes_first() -> None:
    data = load_digits()
    images, words = batch_of(data, batch=8, timesteps=None)
    lengths = (words != NULL).sum(axis=1)
    assert lengths[0] == words.shape[1]
    assert np.all(np.diff(lengths) <= 0)
    assert lengths[-1] < lengths[0]
    for image, digit, row in zip(images.images, images.digits, words, strict=True):
        assert decode(row.tolist()) == " ".join(describe(image, int(digit))[1:-1])
    assert sorted(images.digits.tolist()) == list(range(8))


@pytest.mark.parametrize("timesteps", [1, 3, 6, 7, 50, 6000])
def test_with_timesteps_every_step_has_a_real_word(timesteps: int) -> None:
    _, words = batch_of(load_digits(), batch=4, timesteps=timesteps)
    assert words.shape == (4, timesteps + 1)
    assert NULL not in words
    assert np.all(words[:, 0] == START)
    ends = np.flatnonzero(words[0] == END)
    assert np.all(words[0][ends[ends < timesteps] + 1] == START)


def test_a_strung_sequence_begins_with_its_own_caption() -> None:
    data = load_digits()
    _, padded = batch_of(data, batch=4, timesteps=None)
    _, strung = batch_of(data, batch=4, timesteps=30)
    for short, long in zip(padded, strung, strict=True):
        length = int((short != NULL).sum())
        assert np.array_equal(short[:length], long[:length])


def test_only_images_that_are_shown_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[int] = []

    def counted(image: Any, digit: int) -> tuple[str, ...]:
        described.append(digit)
        return describe(image, digit)

    monkeypatch.setattr(captions, "describe", counted)
    batch_of(load_digits(), batch=2, timesteps=9)  # ten words each: two captions or three
    assert 3 <= len(described) <= 4


def test_the_whole_training_part_can_be_a_batch_and_no_more() -> None:
    assert batch_of(load_digits(), batch=800, timesteps=2)[1].shape == (800, 3)
    with pytest.raises(InputError, match="the batch is 801, but there are 800 images"):
        batch_of(load_digits(), batch=801, timesteps=2)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_loss_of_untrained_scores_is_near_that_of_a_guess(cell: str, dtype: str) -> None:
    loss = build(DemoOptions(cell=cell, dtype=dtype, hidden_size=16))
    _, words = batch_of(load_digits(), batch=8, timesteps=None)
    guess = np.log(len(VOCABULARY)) * (words[:, 1:] != NULL).sum() / 8
    assert float(loss.value) == pytest.approx(guess, rel=0.15)
    assert loss.value.dtype == dtype


def test_the_loss_is_that_of_the_model_written_by_hand() -> None:
    options = DemoOptions(hidden_size=5, batch=3)
    loss = build(options)
    weights = {node.name: node.value for node in loss.tape.nodes if node.op.name == "parameter"}
    images, words = batch_of(load_digits(), batch=3, timesteps=None)
    h = images.features() @ weights["image.W"] + weights["image.b"]
    total = 0.0
    for t in range(words.shape[1] - 1):
        x = weights["embedding.W"][words[:, t]]
        h = np.tanh(x @ weights["rnn.Wx"] + h @ weights["rnn.Wh"] + weights["rnn.b"])
        scores = h @ weights["scores.W"] + weights["scores.b"]
        target = words[:, t + 1]
        for row in np.flatnonzero(target != NULL):
            total += np.log(np.exp(scores[row]).sum()) - scores[row, target[row]]
    assert float(loss.value) == pytest.approx(total / 3, rel=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_trace_has_every_state_and_the_words(cell: str, layers: int, bidirectional: bool) -> None:
    options = DemoOptions(cell=cell, layers=layers, bidirectional=bidirectional, timesteps=9, hidden_size=4, batch=2)
    trace = rnngraph.record(build(options))
    kinds = 2 if cell == "lstm" else 1
    assert len(trace.states) == layers * (1 + bidirectional) * kinds
    assert (trace.batch, trace.timesteps) == (2, 9)
    assert trace.labels[0] == "<START>"
    assert set(trace.labels) <= set(VOCABULARY)
    assert trace.model == title(options)
    assert all(np.all(state.grad.status == 0) for state in trace.states)


def test_the_image_reaches_the_loss_through_the_initial_state() -> None:
    gradients = rnngraph.gradients(build(DemoOptions(hidden_size=4)))
    assert gradients["image.W"].shape == (64, 4)
    assert np.any(gradients["image.W"] != 0)


def test_the_seed_changes_the_weights_and_not_the_batch() -> None:
    first, again, other = (build(DemoOptions(seed=seed, hidden_size=4)) for seed in (0, 0, 1))
    assert float(first.value) == float(again.value) != float(other.value)
    assert first.tape.step_labels == other.tape.step_labels


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "foo"}, "the cell 'foo' is not known"),
        ({"init": "foo"}, "the initialiser 'foo' is not known"),
        ({"dtype": "float16"}, "the dtype 'float16' is not known"),
        ({"timesteps": 0}, "the number of timesteps is 0"),
        ({"batch": 0}, "the batch is 0"),
        ({"hidden_size": -1}, "the hidden size is -1"),
        ({"layers": 0}, "the number of layers is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"gain": float("nan")}, "gain is nan"),
        ({"forget_bias": 1.0}, "a tanh cell has no forget gate; use LSTM"),
        ({"forget_bias": float("inf"), "cell": "lstm"}, "forget_bias is inf"),
        ({"init": "chrono"}, "a tanh recurrence has none; use LSTM or GRU"),
        ({"init": "chrono", "cell": "lstm", "forget_bias": 1.0}, "sets the forget bias itself"),
    ],
)
def test_choices_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(replace(DemoOptions(), **changes))
