"""The callback in a real Hugging Face Trainer: nothing changes, and the log history has the scalars."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from tests.integrations.libraries import loaded

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("default")


class Reader(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Any, labels: Any) -> Any:
        found = self.head(self.rnn(x)[0][:, -1, :])[:, 0]
        return {"loss": (found - labels).square().mean(), "logits": found}


def trained(folder: Path, *, monitored: bool, watch: bool = False, **options: Any) -> tuple[Any, Any]:
    pytest.importorskip("accelerate")
    transformers, monitor_callback = loaded("transformers", "transformers")
    transformers.set_seed(0)
    data = [{"x": torch.randn(6, 2), "labels": torch.randn(())} for _ in range(32)]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=8, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, eval_strategy="steps",
        eval_steps=2, **options,
    )  # fmt: skip
    trainer = transformers.Trainer(model=Reader(), args=arguments, train_dataset=data, eval_dataset=data[:4])
    callback = monitor_callback(trainer, every=3, folder=folder / "runs") if monitored else None
    if callback:
        trainer.add_callback(callback)
    with rg.torch.watch(trainer.model) if watch else contextlib.nullcontext() as trainer.watched:
        trainer.train()
    return trainer, callback


def test_a_training(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path / "plain", monitored=False)
    trainer, callback = trained(tmp_path, monitored=True)
    for a, b in zip(plain.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (callback.monitor.notes, callback.monitor.closed) == ([], True)
    traces = [rg.Trace.load(path) for path in callback.monitor.files]
    assert [one.training_step for one in traces] == [0, 3, 6]
    logged = [row for row in trainer.state.log_history if "rnngraph/rnn/reach" in row]
    assert [row["step"] for row in logged] == [1, 4, 7]  # the trainer counts the step that is over
    losses = {row["step"]: row["loss"] for row in trainer.state.log_history if "loss" in row}
    assert list(losses) == list(range(1, 9))  # its own are logged as they were
    for one in traces:
        assert one.training_loss == pytest.approx(losses[(one.training_step or 0) + 1], rel=1e-3)  # as it rounds


def test_a_whole_training_is_watched(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path / "plain", monitored=False)
    trainer, _ = trained(tmp_path / "watched", monitored=False, watch=True)
    for a, b in zip(plain.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(a, b)
    trace = trainer.watched.trace()
    assert [(one.name, one.timesteps) for one in trace.recurrences] == [("rnn", 6)]
    assert "backward pass 16 of 16 in the block is shown" in trace.notes
    assert trace.checks
