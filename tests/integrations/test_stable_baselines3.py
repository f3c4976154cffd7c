"""The callback in sb3-contrib's RecurrentPPO as it comes: minibatches and epochs, and no argument."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from tests.integrations.libraries import loaded

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")
NAMES = ("rnngraph/lstm_actor/reach", "rnngraph/lstm_critic/reach")


def libraries() -> tuple[Any, Any]:
    return loaded("sb3_contrib", "stable_baselines3")


def learned(folder: Path, callback: Any = None, **options: Any) -> Any:
    sb3_contrib, _ = libraries()
    from stable_baselines3.common.logger import configure

    torch.manual_seed(0)
    model = sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy", "CartPole-v1", seed=0, device="cpu", policy_kwargs={"lstm_hidden_size": 8}, **options
    )
    model.set_logger(configure(str(folder), ["json"]))
    return model.learn(256, callback=callback)


def test_default_settings_and_no_argument(tmp_path: Path) -> None:
    callback = libraries()[1]()
    plain, model = learned(tmp_path / "plain"), learned(tmp_path / "seen", callback)
    for one in (plain, model):
        one.logger.close()
    for a, b in zip(plain.policy.parameters(), model.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert callback.monitor is not None
    assert (callback.monitor.notes, callback.monitor.step) == ([], 19)  # two rollouts of ten epochs
    rows = [json.loads(line) for line in (tmp_path / "seen" / "progress.json").read_text().splitlines()]
    found = [row for row in rows if NAMES[0] in row]
    assert found
    assert all(0 <= row[name] < 128 for row in found for name in NAMES)
    assert not any(NAMES[0] in line for line in (tmp_path / "plain" / "progress.json").read_text().splitlines())


def test_several_minibatches_and_learning_again(tmp_path: Path) -> None:
    callback = libraries()[1](every=10, folder=tmp_path / "runs")
    model = learned(tmp_path / "log", callback, n_steps=128, batch_size=32, n_epochs=2)
    assert callback.monitor is not None
    steps = [rg.Trace.load(path).training_step for path in callback.monitor.files]
    assert steps == [0, 10]  # two rollouts of two epochs of four minibatches
    model.learn(128, callback=callback, reset_num_timesteps=False)
    model.logger.close()
    assert [rg.Trace.load(path).training_step for path in callback.monitor.files] == [0, 10, 20]
    assert callback.monitor.notes == []
