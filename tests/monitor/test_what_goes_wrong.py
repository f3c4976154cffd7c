"""What cannot be is said at the start; what goes wrong later is a warning and a note, and the training goes on."""

from __future__ import annotations

import itertools
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rnngraph as rg
from rnngraph.errors import FileError, InputError
from rnngraph.monitor.cost import Cost
from rnngraph.sources.torch.watch import Watch
from tests.monitor.loops import Model, closed, hooks_on, plain

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": 0}, r"every is 0; it must be a whole number of at least 1"),
        ({"every": 2.5}, r"every is 2\.5"),
        ({"every": True}, r"every is True"),
        ({"horizon": 0}, r"horizon is 0"),
        ({"start": -1}, r"start is -1"),
        ({"log": "wandb"}, r"log is 'wandb'; pass a function of a dict and a step"),
        ({"lags": 3}, r"lags is 3; pass an rnngraph\.LagOptions"),
        ({"only": "nowhere"}, r"Model has no module 'nowhere'"),
        ({"keep": 1, "folder": "runs"}, r"keep is 1"),
        ({"log": None}, r"the monitor has nowhere to put what it finds; pass folder= or log="),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    before = hooks_on()
    with pytest.raises(InputError, match=said):
        rg.torch.monitor(Model(), **{"log": print, **options})
    assert hooks_on() == before


def test_models_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"watch got a list; pass a torch\.nn\.Module"):
        rg.torch.monitor([], folder=tmp_path)
    with pytest.raises(InputError, match="Tanh has no weight that is trained"):
        rg.torch.monitor(nn.Tanh(), folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made or read"):
        rg.torch.monitor(Model(), folder=tmp_path / "file")


def test_a_model_without_a_recurrence(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    def train() -> None:
        for _ in range(5):
            model(torch.randn(2, 3)).sum().backward()
            optimiser.step()

    said = r"step 0 was not measured: no recurrence was found in Sequential; called were sequential"
    with pytest.warns(RuntimeWarning, match=said), rg.torch.monitor(model, 10, tmp_path) as monitor:
        train()
    assert len(monitor.notes) == 1
    assert monitor.files == []


def test_no_optimizer_steps(tmp_path: Path) -> None:
    other = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1)
    with (
        pytest.warns(
            RuntimeWarning, match=r"nothing was measured: no optimizer of torch\.optim that holds a weight of"
        ),
        rg.torch.monitor(Model(), 10, tmp_path),
    ):
        optimiser.step()


class Broken:
    """Fails at some measurements."""

    def __init__(self, fails: set[int]) -> None:
        self.fails, self.count = fails, -1

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.count += 1
        if self.count in self.fails:
            raise KeyError(f"ours, {self.count}")
        return self.own(*args, **more)

    def instead_of(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.own = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **more: self(*args, **more))


@pytest.mark.parametrize("loop", [plain, closed])
def test_a_measurement_that_fails(loop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken({1}).instead_of(monkeypatch, Watch, "trace")
    forward = vars(nn.LSTM)["forward"]
    torch.manual_seed(0)
    untold = loop(Model(), 7, lambda: None)
    torch.manual_seed(0)
    with (
        pytest.warns(RuntimeWarning, match="step 2 was not measured: 'ours, 1'"),
        rg.torch.monitor(model := Model(), 2, tmp_path) as monitor,
    ):
        losses = loop(model, 7, lambda: None)
    assert losses == untold
    assert monitor.notes == ["step 2 was not measured: 'ours, 1'"]
    traces = [rg.Trace.load(path) for path in monitor.files]
    assert [one.training_step for one in traces] == [0, 4, 6]
    assert ["step 2" in " ".join(one.notes) for one in traces] == [False, True, False]
    assert vars(nn.LSTM)["forward"] is forward


def test_the_last_measurement_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken({1}).instead_of(monkeypatch, Watch, "trace")
    with (
        pytest.warns(RuntimeWarning, match="step 2 was not measured: 'ours, 1'"),
        rg.torch.monitor(model := Model(), 2, tmp_path) as monitor,
    ):
        plain(model, 3, lambda: None)
    assert len(monitor.notes) == 1


def test_a_watch_that_cannot_be_put_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken({2}).instead_of(monkeypatch, Watch, "__init__")  # the first checks the options, the second is step 0
    with (
        pytest.warns(RuntimeWarning, match="step 1 is not measured: 'ours, 2'"),
        rg.torch.monitor(model := Model(), 1, tmp_path) as monitor,
    ):
        plain(model, 3, lambda: None)
    assert [path.name for path in monitor.files] == ["step-000000000.npz", "step-000000002.npz"]


def test_a_logger_that_fails(tmp_path: Path) -> None:
    def log(values: dict[str, float], step: int) -> None:
        raise ConnectionError("no network")

    with (
        pytest.warns(RuntimeWarning, match="the scalars of step 0 were not logged: no network"),
        rg.torch.monitor(model := Model(), 9, tmp_path, log=log) as monitor,
    ):
        plain(model, 2, lambda: None)
    assert len(monitor.files) == 1


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    folder, told = tmp_path / "runs", []

    def train(model: Any) -> None:
        shutil.rmtree(folder)
        plain(model, 2, lambda: None)

    with (
        pytest.warns(RuntimeWarning, match="the trace of step 0 was not saved: the folder .* does not exist"),
        rg.torch.monitor(model := Model(), 9, folder, log=lambda values, step: told.append(step)),
    ):
        train(model)
    assert told == [0]


def test_a_warning_that_is_an_error_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken({0}).instead_of(monkeypatch, Watch, "trace")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with rg.torch.monitor(model := Model(), 9, tmp_path) as monitor:
            assert len(plain(model, 3, lambda: None)) == 3
    assert len(monitor.notes) == 1


def test_everything_is_taken_off_after_an_exception_of_the_users_own(tmp_path: Path) -> None:
    def stopped() -> None:
        raise ValueError("the user's own")

    forward = vars(nn.LSTM)["forward"]
    hooks = hooks_on()
    with pytest.raises(ValueError, match="the user's own"), rg.torch.monitor(model := Model(), 1, tmp_path):
        plain(model, 2, stopped)
    assert vars(nn.LSTM)["forward"] is forward
    assert hooks_on() == hooks


def test_much_time_spent_on_looking_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(4, 4)  # seconds: a look takes 4, and as long passes between two
    monkeypatch.setattr("rnngraph.monitor.cost.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    # From the end of the first look to the question after the sixth 44 s have passed, 24 of them on 5 steps. A look of
    # 4 s takes 5 % beside 80 s of steps, which are 16.7: rounded up to one digit, 20.
    said = r"looking has taken 20 s of 44 s so far; every=20 would spend about 5% on it"
    model = Model()
    with pytest.warns(RuntimeWarning, match=said), rg.torch.monitor(model, 1, log=lambda *_: None) as monitor:
        plain(model, 12, lambda: None)
    assert len(monitor.notes) == 1


def test_looks_that_take_little_are_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("rnngraph.monitor.cost.time", SimpleNamespace(perf_counter=lambda: clock.now))
    cost = Cost()
    for step in range(6):  # 9 s of every 100 s
        clock.now = 100.0 * step
        with cost.counted(step):
            clock.now += 9
        assert cost.sentence(step) == ""
    with cost.counted(6):
        clock.now += 900
    assert "every=" in cost.sentence(6)


def test_an_optimizer_in_the_backward_pass_is_said(tmp_path: Path) -> None:
    model = Model()
    for one in model.parameters():
        optimiser = torch.optim.SGD([one], lr=0.1)
        one.register_post_accumulate_grad_hook(lambda _, optimiser=optimiser: optimiser.step())
    said = "its optimizer steps inside the backward pass"
    with pytest.warns(RuntimeWarning, match=said), rg.torch.monitor(model, 10, tmp_path) as monitor:
        model(torch.randn(5, 2, 3))[0].sum().backward()
    assert len(monitor.notes) == 1
