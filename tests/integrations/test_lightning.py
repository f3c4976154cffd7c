"""The callback in a real Lightning fit: nothing changes, and its loggers and checkpoints know the scalars."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from tests.integrations.libraries import loaded

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("default")


def libraries() -> tuple[Any, Any]:
    return loaded("lightning.pytorch", "lightning")


def reader(pl: Any) -> Any:
    class Reader(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)
            self.losses: list[float] = []

        def training_step(self, batch: Any, number: int) -> Any:
            loss = self.head(self.rnn(batch[0])[0][:, -1]).square().mean()
            self.losses.append(float(loss.detach()))
            return loss

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("valid", self.head(self.rnn(batch[0])[0]).mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.05)

    return Reader()


def fitted(pl: Any, folder: Path, *callbacks: Any, **options: Any) -> tuple[Any, Any]:
    pl.seed_everything(0, verbose=False)
    model = reader(pl)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(24, 6, 2)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=list(callbacks), logger=pl.loggers.CSVLogger(folder),
        log_every_n_steps=50, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, **options,
    )  # fmt: skip
    trainer.fit(model, data, data)
    return model, trainer


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}])
def test_a_fit(tmp_path: Path, options: dict[str, Any]) -> None:
    pl, monitor_callback = libraries()
    plain, _ = fitted(pl, tmp_path, **options)
    callback = monitor_callback(every=5, folder=tmp_path / "runs")
    model, trainer = fitted(pl, tmp_path, callback, **options)
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert callback.monitor is not None
    assert (callback.monitor.notes, callback.monitor.closed) == ([], True)
    together = options.get("accumulate_grad_batches", 1)
    steps = list(range(0, 12 // together, 5))
    traces = [rg.Trace.load(path) for path in callback.monitor.files]
    assert [one.training_step for one in traces] == steps
    for one, step in zip(traces, steps, strict=True):
        part = model.losses[step * together : (step + 1) * together]
        assert one.training_loss == pytest.approx(sum(part) / together, rel=1e-5)
    with (Path(trainer.logger.log_dir) / "metrics.csv").open() as file:
        logged = [row for row in csv.DictReader(file) if row["rnngraph/rnn/reach"]]
    assert [int(row["step"]) for row in logged] == steps  # also between two steps of the logger's own
    assert trainer.callback_metrics["rnngraph/rnn/reach"] == float(logged[-1]["rnngraph/rnn/reach"])


def test_a_fit_that_fails_takes_everything_off(tmp_path: Path) -> None:
    pl, monitor_callback = libraries()
    forward = vars(nn.GRU)["forward"]
    callback = monitor_callback(every=1, folder=tmp_path / "runs")

    class Stops(pl.Callback):  # type: ignore[misc, name-defined]
        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"):
        fitted(pl, tmp_path, callback, Stops())
    assert callback.monitor is not None
    assert callback.monitor.closed
    assert vars(nn.GRU)["forward"] is forward
