"""Keras 3's files, written with h5py, against its formulas."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py")

import rnngraph
from rnngraph.errors import FileError, InputError, MissingToolError
from rnngraph.sources.checkpoint import load
from rnngraph.sources.checkpoint.keras import read_h5
from rnngraph.sources.options import ModelOptions
from tests.sources import keras_files as keras

X = np.random.default_rng(0).normal(size=(2, 5, 3))


@pytest.fixture
def data(tmp_path: Path) -> str:
    np.savez(tmp_path / "data.npz", x=X)
    return str(tmp_path / "data.npz")


def loss_of(weights: Path, data: str, **options: Any) -> float:
    """The sum over all steps and units, averaged over the batch."""
    return float(load(ModelOptions(str(weights), data, loss="sum", **options)).loss.value)


FORMS = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)]


@pytest.mark.parametrize(("kind", "reset_after"), FORMS)
def test_layers_by_their_formulas(tmp_path: Path, data: str, kind: str, reset_after: bool) -> None:
    arrays = keras.weights_of(kind, 3, 4, 1, reset_after=reset_after)
    keras.write_h5(tmp_path / "m.weights.h5", {f"{kind}/cell": arrays})
    expected = keras.run(kind, arrays, X, reset_after=reset_after)
    np.testing.assert_allclose(loss_of(tmp_path / "m.weights.h5", data), expected.sum() / 2, rtol=1e-12)
    loss = load(ModelOptions(str(tmp_path / "m.weights.h5"), data)).loss
    assert rnngraph.check(loss).passed
    trace = rnngraph.record(loss)
    assert trace.states[0].cell.startswith({"simple_rnn": "tanh"}.get(kind, kind))


def test_gradients_of_the_early_reset_by_differences(tmp_path: Path, data: str) -> None:
    arrays = keras.weights_of("gru", 3, 4, 5, reset_after=False)
    keras.write_h5(tmp_path / "m.weights.h5", {"gru/cell": arrays})
    loss = load(ModelOptions(str(tmp_path / "m.weights.h5"), data, loss="sum")).loss
    gradient = rnngraph.gradients(loss)["gru.Wh"]
    zrh = np.concatenate([gradient[:, 4:8], gradient[:, :4], gradient[:, 8:]], axis=1)  # back to Keras's order
    step = 1e-6
    for place in [(0, 0), (1, 5), (2, 10), (3, 11)]:
        ends = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[1][place] += sign * step
            ends.append(keras.run("gru", moved, X, reset_after=False).sum() / 2)
        np.testing.assert_allclose(zrh[place], (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


def test_both_directions_and_a_stack(tmp_path: Path, data: str) -> None:
    forward, backward = (keras.weights_of("lstm", 3, 4, seed) for seed in (1, 2))
    second = keras.weights_of("lstm", 8, 4, 3), keras.weights_of("lstm", 8, 4, 4)
    keras.write_h5(
        tmp_path / "m.weights.h5",
        {
            "bidirectional/forward_layer/cell": forward,
            "bidirectional/backward_layer/cell": backward,
            "bidirectional_1/forward_layer/cell": second[0],
            "bidirectional_1/backward_layer/cell": second[1],
        },
    )
    first = np.concatenate([keras.run("lstm", forward, X), keras.run("lstm", backward, X[:, ::-1])[:, ::-1]], axis=-1)
    expected = keras.run("lstm", second[0], first).sum() + keras.run("lstm", second[1], first[:, ::-1]).sum()
    with pytest.raises(InputError, match=r"several recurrent layers: bidirectional \(lstm\), bidirectional_1 \(lstm\)"):
        loss_of(tmp_path / "m.weights.h5", data)
    found = loss_of(tmp_path / "m.weights.h5", data, layer="bidirectional,bidirectional_1")
    np.testing.assert_allclose(found, expected / 2, rtol=1e-12)


def test_embedding_and_dense_layers(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    table, arrays = generator.normal(size=(9, 3)), keras.weights_of("gru", 3, 4, 1)
    dense = [generator.normal(size=(4, 6)), generator.normal(size=6)]
    keras.write_h5(tmp_path / "m.weights.h5", {"embedding": [table], "gru/cell": arrays, "dense": dense})
    tokens, targets = generator.integers(0, 9, (2, 5)), generator.integers(0, 6, (2, 5))
    np.savez(tmp_path / "d.npz", tokens=tokens, targets=targets)
    scores = keras.run("gru", arrays, table[tokens]) @ dense[0] + dense[1]
    scores -= np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(scores, targets[..., None], axis=-1).sum() / 2
    loaded = load(ModelOptions(str(tmp_path / "m.weights.h5"), str(tmp_path / "d.npz")))
    np.testing.assert_allclose(loaded.loss.value, expected, rtol=1e-12)
    assert loaded.found[1:3] == (
        "found the embedding layers/embedding/vars/0: 9 words",
        "found the output layer layers/dense/vars/0: 6 scores",
    )


def config(kind: str, **options: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "mine", **options}}


def test_a_keras_archive_says_more(tmp_path: Path, data: str) -> None:
    arrays = keras.weights_of("simple_rnn", 3, 4, 1)
    keras.write_keras(tmp_path / "m.keras", {"simple_rnn/cell": arrays}, [config("SimpleRNN", activation="relu")])
    expected = keras.run("simple_rnn", arrays, X, activation=lambda x: np.maximum(x, 0))
    np.testing.assert_allclose(loss_of(tmp_path / "m.keras", data), expected.sum() / 2, rtol=1e-12)

    gru = keras.weights_of("gru", 3, 4, 1, bias=False)
    keras.write_keras(tmp_path / "g.keras", {"gru/cell": gru}, [config("GRU", reset_after=False)])
    expected = keras.run("gru", gru, X, reset_after=False)
    np.testing.assert_allclose(loss_of(tmp_path / "g.keras", data), expected.sum() / 2, rtol=1e-12)

    lstm = keras.weights_of("lstm", 3, 4, 1)
    keras.write_keras(tmp_path / "l.keras", {"lstm/cell": lstm}, [config("LSTM", go_backwards=True)])
    expected = keras.run("lstm", lstm, X[:, ::-1])
    np.testing.assert_allclose(loss_of(tmp_path / "l.keras", data), expected.sum() / 2, rtol=1e-12)

    keras.write_keras(tmp_path / "h.keras", {"lstm/cell": lstm}, [config("LSTM", recurrent_activation="hard_sigmoid")])
    with pytest.raises(InputError, match="'tanh' and 'hard_sigmoid'; only tanh and sigmoid"):
        loss_of(tmp_path / "h.keras", data)


def test_what_a_keras_layer_does_that_cannot_be_walked(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {f"bidirectional/{way}_layer/cell": keras.weights_of("lstm", 3, 4, 1) for way in ("forward", "backward")}
    keras.write_keras(tmp_path / "s.keras", both, [config("Bidirectional", merge_mode="sum")])
    with pytest.raises(InputError, match="bidirectional merges its directions by 'sum'; only concat can be walked"):
        loss_of(tmp_path / "s.keras", data)
    kernel, recurrent, bias = keras.weights_of("lstm", 3, 4, 1)
    keras.write_h5(tmp_path / "b.weights.h5", {"lstm/cell": [kernel, recurrent, np.stack([bias, bias])]})
    with pytest.raises(InputError, match=r"the bias of lstm has shape \(2, 16\); a lstm has \(16,\)"):
        loss_of(tmp_path / "b.weights.h5", data)
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(FileError, match=r"n\.keras is no Keras 3 file: it lacks model\.weights\.h5"):
        loss_of(tmp_path / "n.keras", data)
    monkeypatch.setattr("rnngraph.sources.checkpoint.keras.LARGEST_HEADER", 5)
    with pytest.raises(FileError, match=r"has a config\.json of \d+ bytes, more than is read"):
        loss_of(tmp_path / "s.keras", data)
    monkeypatch.setattr("rnngraph.sources.checkpoint.keras.LARGEST_ARRAY", 5)
    with pytest.raises(FileError, match=r"unpacks to \d+ bytes, more than may be read"):
        loss_of(tmp_path / "s.keras", data)


def test_links_that_lead_out_of_the_file_are_not_followed(tmp_path: Path, data: str) -> None:
    import h5py

    keras.write_h5(tmp_path / "other.weights.h5", {"lstm/cell": keras.weights_of("lstm", 3, 4, 1)})
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "other.weights.h5"), "/layers")
        file["a/b"] = np.zeros(3)
        file["a/circle"] = file["a"]
    with pytest.raises(InputError, match=r"holds no recurrent layer: .* found a/b \(3,\)"):
        loss_of(tmp_path / "m.weights.h5", data)
    with h5py.File(tmp_path / "n.weights.h5", "w") as file:
        raw = tmp_path / "raw"
        raw.write_bytes(bytes(96))
        file.create_dataset("lstm/cell/vars/0", (3, 4), "f8", external=[(str(raw), 0, 96)])
    with pytest.raises(FileError, match="in another file, which is not read"):
        loss_of(tmp_path / "n.weights.h5", data)


def test_claims_of_a_size_that_is_not_there(tmp_path: Path, data: str) -> None:
    import h5py

    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file.create_dataset("layers/lstm/cell/vars/0", (10**7, 10**4), "f4")
    with pytest.raises(FileError, match="claims 400000000000 bytes in 0 packed ones"):
        loss_of(tmp_path / "m.weights.h5", data)


def test_without_h5py_the_install_line_is_given(tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.write_h5(tmp_path / "m.weights.h5", {"lstm/cell": keras.weights_of("lstm", 3, 4, 1)})
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingToolError, match=r"pip install 'rnngraph\[keras\]'"):
        loss_of(tmp_path / "m.weights.h5", data)


def test_packed_zeros_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file.create_dataset("a", data=np.zeros((2049, 8192), np.float32), compression="gzip", chunks=(2049, 8192))
    with pytest.raises(FileError, match=r"refused: it would unpack from .* more than 100 times"):
        read_h5(tmp_path / "m.weights.h5")
