"""The data that a checkpoint is run on: initial states, a text, and refusals of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph import nn
from rnngraph.errors import FileError, InputError, RnnGraphError, VocabularyError
from tests.sources.small_checkpoints import X, loaded, our_arrays, our_layer, saved


@pytest.mark.parametrize("layers", [1, 2])
def test_initial_states(tmp_path: Path, layers: int) -> None:
    layer = our_layer(num_layers=layers)
    h0, c0 = np.random.default_rng(2).normal(size=(2, layers, 2, 4))
    data = saved(tmp_path / "d.npz", x=X, h0=h0, c0=c0)
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data, loss="sum")
    expected = layer(rnngraph.Tape().input(X), h0, c0).value.sum() / 2
    np.testing.assert_allclose(found.loss.value, expected, rtol=1e-14)


def test_text_through_a_character_model(tmp_path: Path) -> None:
    layer = nn.GRU(4, 5, seed=3)
    (tmp_path / "text").write_text("abba cab", encoding="utf-8")
    (tmp_path / "vocabulary").write_text("a\nb\nc\n\\s\n", encoding="utf-8")
    weights = saved(tmp_path / "w.npz", **our_arrays(layer))
    options = {"text": str(tmp_path / "text"), "vocabulary": str(tmp_path / "vocabulary")}
    found = loaded(weights, **options)  # no embedding: tokens are one-hot
    tokens = [0, 1, 1, 0, 3, 2, 0]
    expected = layer(rnngraph.Tape().input(np.eye(4)[None, tokens])).value[:, -1].sum()
    np.testing.assert_allclose(found.loss.value, expected, rtol=1e-14)
    assert rnngraph.record(found.loss).labels == ("a", "b", "b", "a", "' '", "c", "a")
    scores = nn.Linear(5, 4, seed=4)
    weights = saved(tmp_path / "v.npz", **our_arrays(layer, "gru."), **our_arrays(scores, "out."))
    found = loaded(weights, **options)
    assert found.found[-1] == "differentiated: the cross-entropy of the targets"
    assert np.isfinite(rnngraph.record(found.loss).loss_steps).all()
    (tmp_path / "text").write_text("abd", encoding="utf-8")
    with pytest.raises(VocabularyError, match=r"'d', token 2 of .* is not among the 4 of"):
        loaded(weights, **options)


def test_without_a_vocabulary_tokens_are_the_bytes_of_the_text(tmp_path: Path) -> None:
    layer = nn.RNN(256, 5, seed=3)
    weights = saved(tmp_path / "w.npz", **our_arrays(layer))
    (tmp_path / "text").write_bytes("a é!".encode() + bytes(300))
    found = loaded(weights, text=str(tmp_path / "text"))
    raw = [97, 32, 0xC3, 0xA9, 33, *[0] * 195]  # the first 200
    expected = layer(rnngraph.Tape().input(np.eye(256)[None, raw])).value[:, -1].sum()
    np.testing.assert_allclose(found.loss.value, expected, rtol=1e-14)
    assert rnngraph.record(found.loss).labels[:6] == ("a", "\\x20", "\\xc3", "\\xa9", "!", "\\x00")


@pytest.mark.parametrize(
    ("text", "vocabulary", "kind", "message"),
    [
        (
            b"abba",
            None,
            InputError,
            "the model has 4 tokens and .*text is text; name its tokens with --vocabulary FILE",
        ),
        (b"abba", b"", InputError, "vocabulary holds no tokens; give one a line"),
        (b"a", b"a\nb\nc\nd\n", InputError, "text holds 1 tokens; at least 2 are needed"),
        (b"ab\xff", b"a\nb\nc\nd\n", FileError, "text cannot be read as UTF-8 text: .*0xff"),
    ],
)
def test_a_text_that_cannot_be_run(
    tmp_path: Path, text: bytes, vocabulary: bytes | None, kind: Any, message: str
) -> None:
    (tmp_path / "text").write_bytes(text)
    (tmp_path / "vocabulary").write_bytes(vocabulary or b"")
    named = None if vocabulary is None else str(tmp_path / "vocabulary")
    with pytest.raises(kind, match=message):
        loaded(saved(tmp_path / "w.npz", **our_arrays(nn.GRU(4, 5))), text=str(tmp_path / "text"), vocabulary=named)


def big(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"x": X}
    data.update(changes)
    return {name: value for name, value in data.items() if value is not None}


BAD_DATA = [
    (big(x=None, mask=np.ones((2, 6), bool)), r"must hold either x \(N, T, D\) or tokens \(N, T\); it holds "),
    (big(tokens=np.zeros((2, 6), int)), "must hold either x"),
    (big(target=np.zeros((2, 6), int)), "holds 'target', which is no known key; the keys are x, tokens, targets"),
    (big(x=X[..., :2]), r"lstm got an input of shape \(2, 6, 2\); its weights take \(N, T, 3\)"),
    (big(x=X[0]), r"x in .* has shape \(6, 3\); \(N, T, D\) is needed"),
    (big(x=X[:, :0]), "no size of it zero"),
    (big(x=np.full_like(X, np.nan)), "x in .* holds NaN or infinity"),
    (big(lengths=np.array([0, 6])), "lengths in .* holds 0 for sample 0; 1 to 6 is possible"),
    (big(lengths=np.array([7, 6])), "holds 7 for sample 0"),
    (big(lengths=np.array([6])), r"lengths in .* is int64 \(1,\); integers \(2,\) are needed"),
    (big(mask=np.zeros((2, 6), bool)), "no true entry for sample 0: a sequence of length zero"),
    (big(mask=np.ones((2, 6), bool), lengths=np.array([6, 6])), "both mask and lengths"),
    (big(targets=np.zeros((2, 5), int)), r"targets in .* has shape \(2, 5\) and x \(2, 6, 3\)"),
    (big(targets=np.zeros((2, 6))), "targets in .* has dtype float64; integers are needed"),
    (big(targets=np.zeros((2, 6), int)), "no output layer that fits"),
    (big(output_grad=np.zeros((2, 6, 5))), r"output_grad has shape \(2, 6, 5\); the output of lstm has \(2, 6, 4\)"),
    (big(h0=np.zeros((2, 2, 4))), r"h0 has shape \(2, 2, 4\); the weights need \(1, 2, 4\)"),
    (big(x=None, tokens=np.array([[0, 3]])), r"got token 3 at \(0, 1\); the vocabulary has 3 words"),
    (big(x=np.array([["a"]])), "x in "),
    (big(x=X.astype(complex)), "x in .* has dtype complex128; numbers are needed"),
]


@pytest.mark.parametrize(("data", "message"), BAD_DATA)
def test_data_that_does_not_fit(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    weights = saved(tmp_path / "w.npz", **our_arrays(our_layer()))
    with pytest.raises(RnnGraphError, match=message):
        loaded(weights, saved(tmp_path / "d.npz", **data))


def test_what_to_run_on(tmp_path: Path) -> None:
    weights = saved(tmp_path / "w.npz", **our_arrays(our_layer()))
    with pytest.raises(InputError, match=r"needs a batch to run on: give either --data FILE\.npz or --text FILE"):
        loaded(weights)
    with pytest.raises(InputError, match="--loss is 'first'; choose one of last, sum, mean, every"):
        loaded(weights, saved(tmp_path / "d.npz", x=X), loss="first")
    with pytest.raises(FileError, match="there is no data file"):
        loaded(weights, tmp_path / "none.npz")
    with pytest.raises(FileError, match="there is no checkpoint"):
        loaded(tmp_path / "none.npz", saved(tmp_path / "d.npz", x=X))


def test_a_single_array_is_asked_for_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match=r"x\.npy holds one array without a name: write np\.savez"):
        loaded(saved(tmp_path / "w.npz", **our_arrays(our_layer())), tmp_path / "x.npy")
