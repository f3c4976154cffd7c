"""A checkpoint whose layers are not all run: it says so, and takes no layer for the output that another one follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import rnngraph
from rnngraph.cli.app import app
from rnngraph.errors import InputError
from tests.sources.small_checkpoints import loaded, saved

torch = pytest.importorskip("torch")
RANDOM = np.random.default_rng(3)
TOKENS, TARGETS = RANDOM.integers(0, 8, (2, 7)), RANDOM.integers(0, 8, (2, 7))
UNUSED = "not used: {}: this is not the whole model, so that the loss is not its own"


class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
    """An embedding, a recurrence, and what a test adds before and behind them."""

    def __init__(self, **more: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.emb, self.lstm = torch.nn.Embedding(8, 5), torch.nn.LSTM(5, 6, batch_first=True)
        for name, layer in more.items():
            setattr(self, name, layer)


def files(tmp_path: Path, model: Any, **data: Any) -> tuple[Path, str]:
    torch.save(model.double().state_dict(), tmp_path / "w.pt")
    return tmp_path / "w.pt", saved(tmp_path / "d.npz", **{"tokens": TOKENS, "targets": TARGETS, **data})


def cross_entropy(scores: Any) -> float:
    loss = torch.nn.functional.cross_entropy(scores.transpose(1, 2), torch.tensor(TARGETS), reduction="sum") / 2
    return float(loss.detach())


@pytest.mark.parametrize("width", [16, 5])
def test_a_head_of_two_layers_is_no_output_layer(tmp_path: Path, width: int) -> None:
    """Neither is the first one's output taken for scores, nor are the targets too many for it: it is said what is."""
    weights, data = files(tmp_path, Model(fc1=torch.nn.Linear(6, width), fc2=torch.nn.Linear(width, 8)))
    message = rf"fc1\.weight gives {width} values and fc2\.weight \(8, {width}\) takes as many, .* --layer output=fc1"
    with pytest.raises(InputError, match=message):
        loaded(weights, data)
    hidden = loaded(weights, data, loss="last")
    assert hidden.findings == (UNUSED.format("fc1.weight, fc2.weight"),)
    if width == 16:
        assert loaded(weights, data, layer="output=fc1").findings == (UNUSED.format("fc2.weight"),)


def test_the_loss_that_is_asked_for_needs_no_output_layer(tmp_path: Path) -> None:
    model = Model(fc1=torch.nn.Linear(6, 16), fc2=torch.nn.Linear(16, 8))
    weights, data = files(tmp_path, model)
    expected = model.lstm(model.emb(torch.tensor(TOKENS)))[0][:, -1].sum().item() / 2
    np.testing.assert_allclose(loaded(weights, data, loss="last").loss.value, expected, rtol=1e-12)


def test_layers_before_and_behind_the_recurrence_are_named(tmp_path: Path) -> None:
    model = Model(pre=torch.nn.Linear(5, 5), ln=torch.nn.LayerNorm(6), fc=torch.nn.Linear(6, 8))
    weights, data = files(tmp_path, model)
    found = loaded(weights, data)
    assert found.findings == (UNUSED.format("pre.weight, ln.weight"),)
    # What is run is the network without them, which is another one.
    hidden = model.lstm(model.emb(torch.tensor(TOKENS)))[0]
    np.testing.assert_allclose(found.loss.value, cross_entropy(model.fc(hidden)), rtol=1e-12)
    true = model.lstm(torch.relu(model.pre(model.emb(torch.tensor(TOKENS)))))[0]
    assert abs(float(found.loss.value) - cross_entropy(model.fc(model.ln(true)))) > 0.1
    trace, _ = found.run()
    assert UNUSED.format("pre.weight, ln.weight") in trace.notes
    told = CliRunner().invoke(app, ["check", "--weights", str(weights), "--data", data])
    assert told.exit_code == 0
    assert f"warning: {UNUSED.format('pre.weight, ln.weight')}" in told.stderr


def test_a_whole_model_leaves_nothing(tmp_path: Path) -> None:
    model = Model(fc=torch.nn.Linear(6, 8), norm=torch.nn.BatchNorm1d(6, affine=False, track_running_stats=False))
    model.register_buffer("steps", torch.tensor(7))
    weights, data = files(tmp_path, model)
    found = loaded(weights, data)
    assert found.findings == ()
    hidden = model.lstm(model.emb(torch.tensor(TOKENS)))[0]
    np.testing.assert_allclose(found.loss.value, cross_entropy(model.fc(hidden)), rtol=1e-12)


def test_a_long_list_is_cut_short(tmp_path: Path) -> None:
    more = {f"block{number}": torch.nn.Linear(3, 3) for number in range(20)}
    weights, data = files(tmp_path, Model(fc=torch.nn.Linear(6, 8), **more))
    (finding,) = loaded(weights, data).findings
    assert finding.startswith("not used: block0.weight, block1.weight, ")
    assert "block7.weight and 12 more: this is not" in finding


@pytest.mark.parametrize(("cell", "notes"), [(None, ("tanh assumed; a ReLU layer needs --cell relu",)), ("relu", ())])
def test_a_plain_layer_is_assumed_to_be_tanh(tmp_path: Path, cell: str | None, notes: tuple[str, ...]) -> None:
    layer = torch.nn.RNN(3, 4, batch_first=True, nonlinearity=cell or "tanh").double()
    x = RANDOM.normal(size=(2, 5, 3))
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    found = loaded(tmp_path / "w.pt", saved(tmp_path / "d.npz", x=x), cell=cell, loss="sum")
    np.testing.assert_allclose(found.loss.value, layer(torch.tensor(x))[0].sum().item() / 2, rtol=1e-12)
    assert found.notes == notes
    trace, _ = found.run()
    for note in notes:
        assert note in trace.notes
        assert note in found.sentences
    assert rnngraph.record(found.loss).states[0].cell == (cell or "tanh")


def test_gated_layers_assume_nothing(tmp_path: Path) -> None:
    weights, data = files(tmp_path, Model(fc=torch.nn.Linear(6, 8)))
    assert loaded(weights, data).notes == ()


def test_what_a_training_run_keeps_beside_the_model_is_no_weight(tmp_path: Path) -> None:
    model = Model(fc=torch.nn.Linear(6, 8))
    model.register_buffer("seen", torch.zeros(8, 5, dtype=torch.int64))
    beside = {"rng_state": torch.get_rng_state(), "train_losses": torch.zeros(40), "confusion": torch.zeros(8, 8)}
    torch.save({"model": model.double().state_dict(), **beside}, tmp_path / "w.pt")
    data = saved(tmp_path / "d.npz", tokens=TOKENS, targets=TARGETS)
    assert loaded(tmp_path / "w.pt", data).findings == ()
    extra = {**model.state_dict(), "pre.weight": torch.zeros(5, 5).double()}
    torch.save({"model": extra, "second": {"weight": torch.zeros(3, 3)}, **beside}, tmp_path / "w.pt")
    assert loaded(tmp_path / "w.pt", data).findings == (UNUSED.format("model.pre.weight, second.weight"),)


def test_a_parameter_of_the_model_itself_is_named(tmp_path: Path) -> None:
    model = Model(fc=torch.nn.Linear(6, 8))
    model.start = torch.nn.Parameter(torch.zeros(6))
    weights, data = files(tmp_path, model)
    assert loaded(weights, data).findings == (UNUSED.format("start"),)


def test_without_targets_there_is_no_loss_of_the_models_own(tmp_path: Path) -> None:
    weights, _ = files(tmp_path, Model(fc=torch.nn.Linear(6, 8)))
    found = loaded(weights, saved(tmp_path / "t.npz", tokens=TOKENS))
    assert found.findings == ("not used: fc.weight: this is not the whole model",)


@pytest.mark.parametrize("tied", [True, False])
def test_an_output_layer_that_shares_the_embedding(tmp_path: Path, tied: bool) -> None:
    """A language model without a bias behind its recurrence stores one table twice."""
    torch.manual_seed(2)
    lstm = torch.nn.LSTM(6, 6, batch_first=True)
    encoder, decoder = torch.nn.Embedding(8, 6), torch.nn.Linear(6, 8, bias=False)
    if tied:
        decoder.weight = encoder.weight
    model = torch.nn.ModuleDict({"encoder": encoder, "lstm": lstm, "decoder": decoder})
    weights, data = files(tmp_path, model)
    if not tied:
        with pytest.raises(InputError, match=r"several arrays could be the embedding layer: encoder\.weight, decoder"):
            loaded(weights, data)
        return
    found = loaded(weights, data)
    assert found.findings == ()
    scores = decoder(lstm(encoder(torch.tensor(TOKENS)))[0])
    np.testing.assert_allclose(found.loss.value, cross_entropy(scores), rtol=1e-12)
