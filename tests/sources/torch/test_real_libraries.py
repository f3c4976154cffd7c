"""Models and loops of real libraries with their default settings; each is skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph
from tests.sources.torch.truth import certified

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


@pytest.mark.parametrize(("name", "cell"), [("LTC", "LTCCell"), ("CfC", "CfCCell")])
def test_liquid_networks(name: str, cell: str) -> None:
    ncps = pytest.importorskip("ncps.torch")
    model = getattr(ncps, name)(4, 8)
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(2, 6, 4))[0].square().sum().backward()
    trace = watch.trace()
    assert (trace.recurrences[0].cell, trace.timesteps) == (cell, 6)
    assert certified(trace)


def test_a_leaky_spiking_neuron_falls_by_its_beta() -> None:
    snn = pytest.importorskip("snntorch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.lif = torch.nn.Linear(4, 8), snn.Leaky(beta=0.9)

        def forward(self, x: Any) -> Any:
            mem = self.lif.init_leaky()
            for one in x:
                _, mem = self.lif(self.linear(one), mem)
            return mem

    model = Net()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(10, 2, 4)).square().sum().backward()
    trace = watch.trace()
    np.testing.assert_allclose(np.diff(trace.lags[0].log[:, -1, 1:], axis=1), -np.log(0.9), rtol=1e-5)
    assert certified(trace)


def test_recurrent_ppo() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "seed": 0, "device": "cpu"}
    model = contrib.RecurrentPPO("MlpLstmPolicy", "CartPole-v1", **settings)
    with rnngraph.torch.watch(model.policy) as watch:
        model.learn(64)
    trace = watch.trace()
    assert [one.name for one in trace.recurrences] == ["lstm_actor", "lstm_critic"]
    assert certified(trace)


def test_a_whole_fit_of_lightning() -> None:
    lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = torch.nn.GRU(3, 8, batch_first=True), torch.nn.Linear(8, 1)

        def training_step(self, batch: Any, number: int) -> Any:
            return self.head(self.rnn(batch[0])[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    model = Model()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(16, 7, 3)), batch_size=4)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    with rnngraph.torch.watch(model) as watch:
        lightning.Trainer(max_epochs=2, accelerator="cpu", **quiet).fit(model, data)
    trace = watch.trace()
    assert watch.passes.count == 8
    assert (trace.recurrences[0].name, trace.timesteps) == ("rnn", 7)
    assert certified(trace)
