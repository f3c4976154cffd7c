"""PyTorch's state dicts, in every file format, against PyTorch's own loss and gradients in float64."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import FileError, MissingToolError
from rnngraph.sources.checkpoint import load
from rnngraph.sources.options import ModelOptions

torch = pytest.importorskip("torch")
WORDS = 11


class Captioner(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(WORDS, 4)
        self.decoder = torch.nn.Module()
        self.decoder.core = getattr(torch.nn, kind)(4, 5, batch_first=True, **options)
        self.vocabulary = torch.nn.Linear(5 * (1 + options.get("bidirectional", False)), WORDS)

    def forward(self, tokens: Any) -> Any:
        return self.vocabulary(self.decoder.core(self.words(tokens))[0])


def write(model: Any, path: Path) -> Path:
    """Save the state dict in the format that the suffix names."""
    state = model.state_dict()
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    elif path.suffix == ".pth":  # a training checkpoint, of a distributed and compiled model
        optimiser = torch.optim.Adam(model.parameters())
        wrapped = {f"module._orig_mod.{name}": value for name, value in state.items()}
        torch.save({"epoch": 3, "model": wrapped, "optimizer": optimiser.state_dict()}, path)
    else:
        torch.save(state, path)
    return path


TABLE = [
    (kind, layers, both, bias)
    for kind, layers, both, bias in itertools.product(("RNN", "LSTM", "GRU"), (1, 2), (False, True), (True, False))
]


@pytest.mark.parametrize(("kind", "layers", "both", "bias"), TABLE)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz"])
def test_loss_and_gradients(tmp_path: Path, kind: str, layers: int, both: bool, bias: bool, suffix: str) -> None:
    torch.manual_seed(7)
    model = Captioner(kind, num_layers=layers, bidirectional=both, bias=bias).double()
    tokens, targets = torch.randint(0, WORDS, (3, 6)), torch.randint(0, WORDS, (3, 6))
    mask = torch.ones(3, 6, dtype=torch.bool)
    np.savez(tmp_path / "d.npz", tokens=tokens, targets=targets, mask=mask)
    loss = torch.nn.functional.cross_entropy(model(tokens).transpose(1, 2), targets, reduction="sum") / 3
    loss.backward()
    loaded = load(ModelOptions(str(write(model, tmp_path / f"w{suffix}")), str(tmp_path / "d.npz")))
    np.testing.assert_allclose(loaded.loss.value, loss.item(), rtol=1e-12)
    gradients = rnngraph.gradients(loaded.loss)
    embedding = next(value for name, value in gradients.items() if name.endswith("words.weight"))
    np.testing.assert_allclose(embedding, model.words.weight.grad, rtol=1e-10, atol=1e-13)
    scores = next(value for name, value in gradients.items() if name.endswith("vocabulary.weight"))
    np.testing.assert_allclose(scores.T, model.vocabulary.weight.grad, rtol=1e-10, atol=1e-13)
    assert loaded.found[0].split(": ")[0].endswith("decoder.core")


def test_projected_lstm_and_packed_lengths(tmp_path: Path) -> None:
    layer = torch.nn.LSTM(3, 6, 2, proj_size=4, bidirectional=True, batch_first=True).double()
    x, lengths = torch.randn(3, 5, 3).double(), torch.tensor([5, 2, 4])
    output, _ = layer(torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    expected = float(output.data.detach().sum()) / 3
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    np.savez(tmp_path / "d.npz", x=x, lengths=lengths)
    loaded = load(ModelOptions(str(tmp_path / "w.pt"), str(tmp_path / "d.npz"), loss="sum"))
    np.testing.assert_allclose(loaded.loss.value, expected, rtol=1e-12)
    assert "lstm, 3 -> 6 units, projected to 4" in loaded.found[0]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_cells_state_dict(tmp_path: Path, kind: str) -> None:
    cell = getattr(torch.nn, f"{kind}Cell")(3, 4).double()
    x, state, total = torch.randn(2, 5, 3).double(), None, 0.0
    for t in range(5):
        state = cell(x[:, t], state)
        total += float((state[0] if kind == "LSTM" else state).detach().sum())
    torch.save(cell.state_dict(), tmp_path / "w.pt")
    np.savez(tmp_path / "d.npz", x=x)
    loaded = load(ModelOptions(str(tmp_path / "w.pt"), str(tmp_path / "d.npz"), loss="sum"))
    np.testing.assert_allclose(loaded.loss.value, total / 2, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_narrow_weights_become_float32(tmp_path: Path, dtype: str, suffix: str) -> None:
    model = Captioner("GRU").to(getattr(torch, dtype))
    np.savez(tmp_path / "d.npz", tokens=np.zeros((1, 4), int))
    loaded = load(ModelOptions(str(write(model, tmp_path / f"w{suffix}")), str(tmp_path / "d.npz"), loss="sum"))
    expected = model.float().decoder.core(model.words(torch.zeros(1, 4, dtype=torch.long)))[0].detach().sum()
    assert loaded.loss.dtype == np.float32
    np.testing.assert_allclose(loaded.loss.value, float(expected), rtol=1e-5)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    torch.save({"weight_hh_l0": Trap()}, tmp_path / "w.pt")
    np.savez(tmp_path / "d.npz", x=np.zeros((1, 2, 3)))
    with pytest.raises(FileError, match=r"without executing what is in it, .*; save model\.state_dict\(\) alone"):
        load(ModelOptions(str(tmp_path / "w.pt"), str(tmp_path / "d.npz")))
    assert not marker.exists()


def test_without_torch_the_install_line_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(torch.nn.GRU(2, 2).state_dict(), tmp_path / "w.pt")
    np.savez(tmp_path / "d.npz", x=np.zeros((1, 2, 2)))
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingToolError, match=r"pip install 'rnngraph\[torch\]'"):
        load(ModelOptions(str(tmp_path / "w.pt"), str(tmp_path / "d.npz")))


@pytest.mark.parametrize("cut", [0, 4, 100, 1000])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "w.pt"
    torch.save(torch.nn.GRU(2, 2).state_dict(), path)
    path.write_bytes(path.read_bytes()[:cut])
    np.savez(tmp_path / "d.npz", x=np.zeros((1, 2, 2)))
    with pytest.raises(FileError, match=r"w\.pt cannot be read"):
        load(ModelOptions(str(path), str(tmp_path / "d.npz")))


def test_tensors_without_numbers_of_their_own_are_refused(tmp_path: Path) -> None:
    names = ("rnn.weight_ih_l0", "rnn.weight_hh_l0")
    data = tmp_path / "d.npz"
    np.savez(data, x=np.ones((2, 5, 4)))
    for kind, tensor, message in (
        ("view", torch.zeros(1).expand(5000, 5000), "refused: it would unpack from 4 to 100000000 bytes"),
        ("sparse", torch.eye(6).to_sparse(), "weight_hh_l0 in .* is sparse, quantised or without values"),
        ("meta", torch.zeros(6, 6, device="meta"), "weight_hh_l0 in .* is sparse, quantised or without values"),
    ):
        path = tmp_path / f"{kind}.pt"
        torch.save(dict(zip(names, (torch.ones(len(tensor), 4), tensor), strict=True)), path)
        with pytest.raises(FileError, match=message):
            load(ModelOptions(str(path), str(data)))
