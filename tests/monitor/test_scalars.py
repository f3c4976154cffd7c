"""The few numbers of a measurement, against closed forms, and in the file that TensorBoard reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg

torch = pytest.importorskip("torch")
nn = torch.nn
T, UNITS, LR = 40, 4, 0.5
Logged = list[tuple[int, dict[str, float]]]


class Reader(nn.Module):  # type: ignore[misc, name-defined]
    """A tanh RNN whose recurrent weight is `gain` times a rotation, near zero: each step carries exactly that much."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(1, UNITS, batch_first=True).double(), nn.Linear(UNITS, 1).double()
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(gain * torch.linalg.qr(torch.randn(UNITS, UNITS).double())[0])
            self.rnn.bias_ih_l0.zero_()
            self.rnn.bias_hh_l0.zero_()

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][:, -1])


def logged(gain: float, *, steps: int = 1, time: int = T, **options: Any) -> tuple[Logged, list[Any]]:
    """Train for some steps, monitored; give what was logged, and the recurrent layer's weights before each step."""
    torch.manual_seed(0)
    model, found, weights = Reader(gain), [], []
    optimiser = torch.optim.SGD(model.parameters(), lr=LR)
    log = options.pop("log", lambda values, step: found.append((step, values)))
    with rg.torch.monitor(model, 1, log=log, **options):
        for _ in range(steps):
            loss = model(1e-7 * torch.randn(2, time, 1).double()).square().sum()
            optimiser.zero_grad()
            loss.backward()
            weights.append([p.detach().clone() for p in model.rnn.parameters()])
            optimiser.step()
        weights.append([p.detach().clone() for p in model.rnn.parameters()])
    return found, weights


@pytest.mark.parametrize("gain", [0.9, 0.5, 1.2])
def test_an_orthogonal_recurrence(gain: float) -> None:
    horizon = 20
    ((step, values),), _ = logged(gain, horizon=horizon)
    assert step == 0
    known = {name.removeprefix("rnngraph/rnn/"): value for name, value in values.items()}
    assert known["gain"] == pytest.approx((horizon - 1) * math.log10(gain), abs=1e-6)  # of what there is at lag 1
    assert known["peak"] == pytest.approx(math.log10(gain) * (horizon if gain > 1 else 1), abs=1e-6)  # of lag 0
    assert known["saturated"] == 0
    if gain < 1:
        assert known["half_life"] == pytest.approx(math.log(2) / -math.log(gain), rel=1e-6)
        assert known["reach"] == min(1 + math.floor(math.log(0.01) / math.log(gain)), T - 1)
    else:
        assert "half_life" not in known  # it does not shrink
        assert known["reach"] == T - 1


def test_how_far_a_step_moves_the_weights() -> None:
    found, weights = logged(0.9, steps=3)
    for k, (step, values) in enumerate(found):
        before, after = (torch.cat([one.flatten() for one in some]) for some in weights[k : k + 2])
        assert step == k
        expected = float((after - before).norm() / before.norm())
        assert values["rnngraph/rnn/update_share"] == pytest.approx(expected, rel=1e-9)


def test_a_sequence_shorter_than_the_horizon_has_no_gain() -> None:
    ((_, values),), _ = logged(0.9, time=10, horizon=20)
    assert set(values) == {f"rnngraph/rnn/{key}" for key in ("reach", "half_life", "saturated", "update_share")}


def test_every_number_is_finite() -> None:
    ((_, values),), _ = logged(0.0)
    assert values["rnngraph/rnn/reach"] == 0
    assert "rnngraph/rnn/gain" not in values  # nothing is left: minus infinity
    assert all(math.isfinite(value) for value in values.values())


def test_tensorboard(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writer = tensorboard.SummaryWriter(tmp_path)
    told: Logged = []

    def log(values: dict[str, float], step: int) -> None:
        told.append((step, values))
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    logged(0.9, steps=3, log=log)
    writer.close()
    read = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert set(read.Tags()["scalars"]) == {
        f"rnngraph/rnn/{key}" for key in ("reach", "half_life", "gain", "peak", "saturated", "update_share")
    }
    for name in read.Tags()["scalars"]:
        events = [(one.step, one.value) for one in read.Scalars(name)]
        assert [step for step, _ in events] == [0, 1, 2]
        for (_, value), (_, values) in zip(events, told, strict=True):
            assert value == pytest.approx(values[name], rel=1e-6)
