"""Which arrays of a checkpoint are its layers: by their names and shapes, and by what is said on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph import nn
from rnngraph.errors import FileError, InputError, VocabularyError
from rnngraph.nn.cells import CELLS
from tests.sources.small_checkpoints import X, loaded, our_arrays, our_layer, saved


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


def test_our_own_names_with_a_projection(tmp_path: Path) -> None:
    draw = np.random.default_rng(4).normal
    torch = {"weight_ih_l0": draw(size=(20, 3)), "weight_hh_l0": draw(size=(20, 2)), "bias_ih_l0": draw(size=20),
             "bias_hh_l0": np.zeros(20), "weight_hr_l0": draw(size=(2, 5))}  # fmt: skip
    data = saved(tmp_path / "d.npz", x=X)
    expected = loaded(saved(tmp_path / "t.npz", **torch), data, loss="sum").loss.value
    ours = {"Wx": torch["weight_ih_l0"].T, "Wh": torch["weight_hh_l0"].T, "b": torch["bias_ih_l0"],
            "Wr": torch["weight_hr_l0"].T}  # fmt: skip
    order = "ifgo"  # PyTorch's; ours is that of the cell
    for name in ("Wx", "Wh", "b"):
        gates = dict(zip(order, np.split(ours[name], 4, axis=-1), strict=True))
        ours[name] = np.concatenate([gates[one] for one in CELLS["lstm"].facts.gates], axis=-1)
    found = loaded(
        saved(tmp_path / "w.npz", **{f"lstm.{name}": value for name, value in ours.items()}), data, loss="sum"
    )
    np.testing.assert_allclose(found.loss.value, expected, rtol=1e-12)


def test_a_folder_of_shards(tmp_path: Path) -> None:
    save = pytest.importorskip("safetensors.numpy").save_file
    arrays, data = our_arrays(our_layer(num_layers=2)), saved(tmp_path / "d.npz", x=X)
    places = {name: f"model-{k % 2}.safetensors" for k, name in enumerate(arrays)}
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in set(places.values()):
        save({name: np.ascontiguousarray(arrays[name]) for name in arrays if places[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    whole = loaded(saved(tmp_path / "w.npz", **arrays), data)
    assert loaded(folder, data).loss.value == loaded(index, data).loss.value == whole.loss.value
    save({name: np.ascontiguousarray(one) for name, one in arrays.items()}, folder / "consolidated.safetensors")
    assert loaded(folder, data).loss.value == whole.loss.value  # the index says which files are meant


def test_a_folder_of_npy(tmp_path: Path) -> None:
    layer = our_layer()
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, value in our_arrays(layer).items():
        np.save(folder / f"{name}.npy", value)
    data = saved(tmp_path / "d.npz", x=X)
    one, other = loaded(folder, data), loaded(saved(tmp_path / "w.npz", **our_arrays(layer)), data)
    assert one.loss.value == other.loss.value


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
        ({"b": np.zeros(12)}, r"b has shape \(12,\), which does not fit the recurrent weight of shape \(4, 16\)"),
        ({"Wx": np.zeros((3, 12))}, r"has shape \(4, 16\).* \(3, 12\) is needed|has shape"),
        ({"Wx": np.zeros(16)}, r"Wx has shape \(16,\), which does not divide"),
        ({"Wx": None}, r"lstm has no Wx; found Wh, b"),
        ({"Wh": np.zeros((4, 16), int)}, "Wh in .* holds int64; weights are floating point"),
    ):
        changed = {name: value for name, value in (arrays | changes).items() if value is not None}
        with pytest.raises((InputError, FileError), match=message):
            loaded(saved(tmp_path / "w.npz", **changed), data)
    with pytest.raises(InputError, match=r"holds no recurrent layer: expected weight_ih_l0 .*; found x \(2, 6, 3\)"):
        loaded(data, data)


def test_which_array_is_the_embedding(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer(), "rnn.") | {"one.table": np.ones((5, 3)), "two.table": np.ones((6, 3))}
    weights = saved(tmp_path / "w.npz", **arrays)
    data = saved(tmp_path / "d.npz", tokens=np.array([[5, 0]]))
    with pytest.raises(InputError, match=r"several arrays could be the embedding layer: one\.table, two\.table; pick"):
        loaded(weights, data)
    assert "found the embedding two.table: 6 words" in loaded(weights, data, layer="embedding=two.table").found
    with pytest.raises(VocabularyError, match=r"one\.table got token 5"):
        loaded(weights, data, layer="embedding=one")
