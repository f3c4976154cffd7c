"""What `torch.save` writes: its names of files, damage told from contents, and weights under weight norm."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.stored import open_checkpoint
from tests.sources.small_checkpoints import loaded, saved

torch = pytest.importorskip("torch")
X = np.random.default_rng(4).normal(size=(2, 5, 3))


def gru() -> Any:
    torch.manual_seed(2)
    return torch.nn.GRU(3, 4, batch_first=True).double()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
def test_the_names_that_training_libraries_give(tmp_path: Path, suffix: str) -> None:
    layer, path = gru(), tmp_path / f"w{suffix}"
    state = {f"net.{name}": value for name, value in layer.state_dict().items()}
    lightning = {"epoch": 3, "state_dict": state, "optimizer_states": [{"state": {0: {"step": 1}}}], "callbacks": {}}
    torch.save(lightning if suffix == ".ckpt" else state, path)
    found = loaded(path, saved(tmp_path / "d.npz", x=X), loss="sum")
    np.testing.assert_allclose(found.loss.value, layer(torch.tensor(X))[0].sum().item() / 2, rtol=1e-12)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(1, 200)), "begins neither as a zip archive nor as a pickle, .* damaged or of another format"),
        (b"", "begins neither as a zip archive nor as a pickle"),
        (b"PK\x03\x04" + bytes(300), "begins as a zip archive and breaks off; it is damaged"),
        (b"\x80\x02" + bytes(range(200, 256)), "its pickle is damaged"),
    ],
)
def test_garbage_is_called_damage(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(FileError, match=rf"w\.pt cannot be read: .*{message}"):
        open_checkpoint(tmp_path / "w.pt", {})


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_breaks_off_is_called_damage(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "w.pt"
    torch.save(gru().state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    assert open_checkpoint(path, {}).arrays["weight_hh_l0"].shape == (12, 4)
    path.write_bytes(whole.replace(b"weight_hh_l0", b"weight_hh_l\xff", 1))
    with pytest.raises(FileError, match=r"w\.pt cannot be read: .*(damaged|CRC)"):
        open_checkpoint(path, {})


def test_a_pickle_of_another_kind_is_not_called_damage(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"weight_hh_l0": np.ones((4, 4))}))
    with pytest.raises(FileError, match="without executing what is in it"):
        open_checkpoint(tmp_path / "w.pt", {})


def normed(kind: str) -> Any:
    torch.manual_seed(5)
    layer = torch.nn.LSTM(3, 4, batch_first=True).double()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if kind == "parametrizations":
            torch.nn.utils.parametrizations.weight_norm(layer, name)
        else:
            with pytest.warns(FutureWarning, match="weight_norm"):
                torch.nn.utils.weight_norm(layer, name, dim=None if kind == "whole" else 0)
    for name, value in layer.named_parameters():
        if name.endswith(("_g", "original0")):
            value.data *= 1.7  # so that the weight is no longer its direction
    return layer


@pytest.mark.parametrize("kind", ["rows", "whole", "parametrizations"])
def test_weight_norm_is_folded(tmp_path: Path, kind: str) -> None:
    layer = normed(kind)
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    found = loaded(tmp_path / "w.pt", saved(tmp_path / "d.npz", x=X), loss="sum")
    loss = layer(torch.tensor(X))[0].sum() / 2
    np.testing.assert_allclose(found.loss.value, loss.item(), rtol=1e-12)
    (note,) = found.notes
    assert note.startswith("weight norm was folded into weight_")
    assert found.findings == ()
    assert rnngraph.check(found.loss).passed


@pytest.mark.parametrize("listed", [False, True])
def test_what_is_folded_may_lie_in_several_files(tmp_path: Path, listed: bool) -> None:
    parts = {"l.weight_g": torch.full((4, 1), 3.0), "l.weight_v": torch.ones(4, 3), "m.weight": torch.ones(4, 3)}
    places = {name: f"pytorch_model-{number}.bin" for number, name in enumerate(parts)}
    for name, place in places.items():
        torch.save({name: parts[name]}, tmp_path / place)
    if listed:
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    found = open_checkpoint(tmp_path, {})
    assert (*found.arrays, *found.folded) == ("l.weight", "m.weight", "l.weight")
    np.testing.assert_allclose(found.arrays["l.weight"].read(), 3 / np.sqrt(3))  # rows of length 3


def test_a_gated_layer_of_similar_names_is_no_weight_norm(tmp_path: Path) -> None:
    layer = gru()
    state = {**layer.state_dict(), "attention.weight_g": torch.ones(4, 3), "attention.weight_v": torch.ones(4, 3)}
    torch.save(state, tmp_path / "w.pt")
    assert {"attention.weight_g", "attention.weight_v"} <= set(open_checkpoint(tmp_path / "w.pt", {}).arrays)


def test_a_weight_that_is_computed_otherwise_is_named(tmp_path: Path) -> None:
    layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.RNN(3, 4), "weight_hh_l0")
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"holds parametrizations\.weight_hh_l0\.original and not the recurrent"):
        loaded(tmp_path / "w.pt", saved(tmp_path / "d.npz", x=X))
