"""Checkpoints: what is found in them, what is run on them, and the loss and gradients against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph import nn
from rnngraph.errors import FileError, InputError, RnnGraphError, VocabularyError
from rnngraph.sources.checkpoint import CheckpointOptions, Loaded, load

Array = np.ndarray[Any, np.dtype[Any]]


def saved(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def loaded(weights: Any, data: Any = None, **options: Any) -> Loaded:
    return load(CheckpointOptions(str(weights), None if data is None else str(data), **options))


def our_layer(**options: Any) -> nn.LSTM:
    return nn.LSTM(3, 4, seed=1, **options)


def our_arrays(layer: Any, prefix: str = "") -> dict[str, Array]:
    return {prefix + name: value for name, value in layer.state_dict().items()}


X = np.random.default_rng(0).normal(size=(2, 6, 3))


@pytest.mark.parametrize("prefix", ["", "lstm.", "decoder.core."])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_our_own_names(tmp_path: Path, prefix: str, options: dict[str, Any]) -> None:
    layer = our_layer(**options)
    weights = saved(tmp_path / "w.npz", **our_arrays(layer, prefix))
    found = loaded(weights, saved(tmp_path / "d.npz", x=X), loss="sum")
    tape = rnngraph.Tape()
    expected = layer(tape.input(X)).sum() * 0.5
    np.testing.assert_allclose(found.loss.value, expected.value, rtol=1e-14)
    gradients, wanted = rnngraph.gradients(found.loss), rnngraph.gradients(expected)
    name = prefix.rstrip(".") or "lstm"
    assert list(gradients) == [key.replace("lstm", name, 1) for key in wanted]
    for key, value in wanted.items():
        np.testing.assert_allclose(gradients[key.replace("lstm", name, 1)], value, rtol=1e-12, atol=1e-14)


def test_a_folder_of_npy(tmp_path: Path) -> None:
    layer = our_layer()
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, value in our_arrays(layer).items():
        np.save(folder / f"{name}.npy", value)
    data = saved(tmp_path / "d.npz", x=X)
    one, other = loaded(folder, data), loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data)
    assert one.loss.value == other.loss.value


def reduction(name: str, hidden: Array, mask: Array) -> float:
    """What `--loss` is documented to mean, sample by sample."""
    total = 0.0
    for rows, keep in zip(hidden, mask, strict=True):
        valid = rows[keep]
        total += {
            "last": valid[-1].sum(),
            "sum": valid.sum(),
            "mean": valid.sum() / len(valid),
            "every": (valid**2).sum() / 2,
        }[name]
    return total / len(hidden)


@pytest.mark.parametrize("name", ["last", "sum", "mean", "every"])
@pytest.mark.parametrize("lengths", [None, (4, 6)])
def test_losses_and_lengths(tmp_path: Path, name: str, lengths: tuple[int, ...] | None) -> None:
    layer = our_layer()
    more = {} if lengths is None else {"lengths": np.array(lengths)}
    mask = np.arange(6) < np.array(lengths or (6, 6))[:, None]
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), saved(tmp_path / "d.npz", x=X, **more), loss=name)
    hidden = layer(rnngraph.Tape().input(X)).value
    np.testing.assert_allclose(found.loss.value, reduction(name, hidden, mask), rtol=1e-13)
    trace = rnngraph.record(found.loss)
    assert trace.valid.sum(axis=1).tolist() == list(lengths or (6, 6))
    if lengths:
        masked = saved(tmp_path / "e.npz", x=X, mask=mask)
        same = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), masked, loss=name)
        assert same.loss.value == found.loss.value


def test_output_grad_is_where_the_walk_starts(tmp_path: Path) -> None:
    layer = our_layer()
    upstream = np.random.default_rng(1).normal(size=(2, 6, 4))
    data = saved(tmp_path / "d.npz", x=X, output_grad=upstream)
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data)
    _, cache = nn.functional.lstm_forward(
        X, np.zeros((2, 4)), *(layer.parameter(key).value for key in ("Wx", "Wh", "b"))
    )
    expected = nn.functional.lstm_backward(upstream, cache)
    gradients = rnngraph.gradients(found.loss)
    for name, value in zip(("x", "lstm.Wx", "lstm.Wh", "lstm.b"), (expected[0], *expected[2:]), strict=True):
        np.testing.assert_allclose(gradients[name], value, rtol=1e-12, atol=1e-14)


def test_initial_states(tmp_path: Path) -> None:
    layer = our_layer()
    h0, c0 = np.random.default_rng(2).normal(size=(2, 1, 2, 4))
    data = saved(tmp_path / "d.npz", x=X, h0=h0, c0=c0)
    found = loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data, loss="sum")
    expected = layer(rnngraph.Tape().input(X), h0[0], c0[0]).value.sum() / 2
    np.testing.assert_allclose(found.loss.value, expected, rtol=1e-14)


def test_relu_is_an_option(tmp_path: Path) -> None:
    layer = nn.RNN(3, 4, nonlinearity="relu")
    weights, data = saved(tmp_path / "w.npz", **our_arrays(layer)), saved(tmp_path / "d.npz", x=X)
    expected = layer(rnngraph.Tape().input(X)).value[:, -1].sum() / 2
    np.testing.assert_allclose(loaded(weights, data, cell="relu").loss.value, expected, rtol=1e-14)
    assert "tanh" in loaded(weights, data).found[0]
    with pytest.raises(InputError, match=r"--cell is lstm but .* has shape \(4, 4\), which is that of tanh"):
        loaded(weights, data, cell="lstm")
    with pytest.raises(InputError, match="--cell is 'gruu'; choose one of rnn, tanh, relu, lstm, gru"):
        loaded(weights, data, cell="gruu")


def test_nan_weights_are_a_finding_with_the_tensors_name(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer(), "decoder.")
    arrays["decoder.Wh"][1, 2] = np.nan
    found = loaded(saved(tmp_path / "w.npz", **arrays), saved(tmp_path / "d.npz", x=X))
    assert found.findings == ("decoder.Wh holds 1 NaN or infinite of 64 values",)
    assert rnngraph.record(found.loss).graph.first_nonfinite_forward >= 0


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


def test_a_class_a_sample_is_read_at_its_last_step(tmp_path: Path) -> None:
    layer, scores = our_layer(), nn.Linear(4, 3, seed=4)
    weights = saved(tmp_path / "w.npz", **our_arrays(layer, "lstm."), **our_arrays(scores, "head."))
    data = saved(tmp_path / "d.npz", x=X, targets=np.array([2, 0]), lengths=np.array([3, 6]))
    hidden = layer(rnngraph.Tape().input(X)).value[[0, 1], [2, 5]]
    logits = hidden @ scores.parameter("W").value + scores.parameter("b").value
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[[0, 1], [2, 0]]).mean()
    np.testing.assert_allclose(loaded(weights, data).loss.value, expected, rtol=1e-13)


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
    with pytest.raises(FileError, match="There is no data file"):
        loaded(weights, tmp_path / "none.npz")
    with pytest.raises(FileError, match="There is no checkpoint"):
        loaded(tmp_path / "none.npz", saved(tmp_path / "d.npz", x=X))


def test_the_layer_option(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer(), "a.rnn.") | our_arrays(nn.GRU(3, 4), "b.rnn.")
    weights, data = saved(tmp_path / "w.npz", **arrays), saved(tmp_path / "d.npz", x=X)
    listed = r"a\.rnn \(lstm\), b\.rnn \(gru\)"
    with pytest.raises(InputError, match=f"several recurrent layers: {listed}; pick one with --layer NAME"):
        loaded(weights, data)
    assert "found b.rnn: gru, 3 -> 4 units" in loaded(weights, data, layer="b.rnn").found
    with pytest.raises(InputError, match=f"--layer rnn names 2 of the recurrent layers in .*: {listed}"):
        loaded(weights, data, layer="rnn")
    with pytest.raises(InputError, match="different cells or directions"):
        loaded(weights, data, layer="a.rnn,b.rnn")
    with pytest.raises(InputError, match="names no role"):
        loaded(weights, data, layer="a.rnn,head=b")


def test_weights_that_do_not_fit_one_another(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer())
    data = saved(tmp_path / "d.npz", x=X)
    for changes, message in (
        ({"b": np.zeros(12)}, r"bias of lstm, layer 0, forward has shape \(12,\).* \(16,\) is needed"),
        ({"Wx": np.zeros((3, 12))}, r"has shape \(4, 16\).* \(3, 12\) is needed|has shape"),
        ({"Wx": np.zeros(16)}, r"Wx has shape \(16,\), which does not divide"),
        ({"Wx": None}, r"lstm has no Wx; found Wh, b"),
        ({"Wh": np.zeros((4, 16), int)}, "Wh holds int64; weights are floating point"),
    ):
        changed = {name: value for name, value in (arrays | changes).items() if value is not None}
        with pytest.raises(InputError, match=message):
            loaded(saved(tmp_path / "w.npz", **changed), data)
    with pytest.raises(InputError, match=r"holds no recurrent layer: expected weight_ih_l0 .*; found x \(2, 6, 3\)"):
        loaded(data, data)


def test_which_array_is_the_embedding(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer(), "rnn.") | {"one.table": np.ones((5, 3)), "two.table": np.ones((6, 3))}
    weights = saved(tmp_path / "w.npz", **arrays)
    data = saved(tmp_path / "d.npz", tokens=np.array([[5, 0]]))
    with pytest.raises(InputError, match=r"Several arrays could be the embedding layer: one\.table, two\.table; pick"):
        loaded(weights, data)
    assert "found the embedding two.table: 6 words" in loaded(weights, data, layer="embedding=two.table").found
    with pytest.raises(VocabularyError, match=r"one\.table got token 5"):
        loaded(weights, data, layer="embedding=one")
