"""A folder of traces as a row of measurements: every number from its closed form, and what is passed by."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import FileError, InputError
from rnngraph.history.trend import CLOSING, OPENING, STEADY
from tests.history.trainings import gain, half_life, network, reach, save, save_step

UP = [0.7, 0.74, 0.78, 0.82, 0.86, 0.9, 0.94, 1.0]


def test_every_number_of_a_row_is_the_closed_form(tmp_path: Path) -> None:
    history = rg.history(save(tmp_path / "a", UP))
    assert history.steps == tuple(range(0, 800, 100))
    assert history.horizon == 39
    np.testing.assert_allclose(history.gains, [gain(rate, 39) for rate in UP], atol=1e-9)
    for place, (rate, one) in enumerate(zip(UP, history.measurements, strict=True)):
        assert one.reach == reach(rate)
        assert one.whole == (reach(rate) == 39)
        assert one.loss == 1 / (1 + 100 * place)
        assert one.half_life == (None if rate == 1 else pytest.approx(half_life(rate)))
        assert one.verdict == rg.diagnose(network(rate)).verdict
        assert one.readings[1].saturated == 0
        assert one.readings[1].peak == pytest.approx(math.log10(rate))  # the most is that of lag 1
    assert [one.name for one in history.series] == ["x into relu", "relu"]
    for series in history.series:
        np.testing.assert_allclose(series.gains, history.gains, atol=1e-9)  # at the input and in the states alike
        assert series.trend.trend == OPENING


@pytest.mark.parametrize(
    ("rates", "trend", "words"),
    [
        (
            UP,
            OPENING,
            "Opening since step 0: the reach went from lag 13 to lag 39 at least, and what is left at lag 39",
        ),
        (UP[::-1], CLOSING, "Closing since step 0: the reach went from lag 39 at least to lag 13, and what is left"),
        (
            [0.7, 0.75, 0.8, 0.85, 0.9] + [1.0] * 20,
            STEADY,
            "Steady since step 500, after the reach went from lag 13 to lag 39 at least. It reaches lag 39 at least;",
        ),
        ([0.8] * 6, STEADY, "Steady since step 0. It reaches lag 21; 0.02 % is left at lag 39."),
        ([0.9] * 8 + [0.7], STEADY, "Steady since step 0, but the last measurement lies below. It reaches lag 13"),
        (
            [0.7] * 8 + [0.9] * 2,
            STEADY,
            "Steady since step 0, but the last 2 measurements lie above. It reaches lag 39",
        ),
        ([0.8] * 4, None, "Too early to tell: 4 measurements with credit, and a trend takes 5. It reaches lag 21"),
        ([0.8], None, "Too early to tell: 1 measurement with credit, and a trend takes 5. It reaches lag 21"),
        ([0.7, 0.75, 0.8, 0.7, 0.7], None, "Undecided: 5 measurements, and no 3 in a row that agree."),
    ],
)
def test_the_sentence(rates: list[float], trend: str | None, words: str, tmp_path: Path) -> None:
    history = rg.history(save(tmp_path / "a", rates))
    assert history.trend.trend == trend
    assert repr(history).startswith(words)
    assert f"Now, at step {100 * (len(rates) - 1)}: " in str(history)


def test_a_need_is_the_lag_that_is_compared_at(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", UP)
    history = rg.history(folder, horizon=20)
    assert (history.folder, history.horizon, history.asked) == (str(folder), 20, 20)
    np.testing.assert_allclose(history.gains, [gain(rate, 20) for rate in UP], atol=1e-9)
    assert history.measurements[0].verdict == rg.diagnose(network(0.7), horizon=20).verdict
    save_step(folder, network(0.9, time=12), 900)  # too short for it, and still of use
    history = rg.history(folder, horizon=20)
    assert math.isnan(history.gains[-1])
    assert history.measurements[-1].reach == 11
    assert history.horizon == 20
    with pytest.raises(InputError, match=r"the horizon is 40, but the longest sequence in .* has 40 timesteps"):
        rg.history(folder, horizon=40)
    for wrong in (0, -1, 2.5, "far", True):
        with pytest.raises(InputError, match="the horizon is"):
            rg.history(folder, horizon=wrong)  # type: ignore[arg-type]


def test_two_recurrences_are_two_series(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for step, bias in enumerate([1.0, 1.5, 2.0, 2.5, 3.0, 3.5]):
        layer = nn.LSTM(3, 4, num_layers=2, forget_bias=bias)
        loss = (layer(rg.Tape().input(rng.normal(size=(3, 30, 3)), "x")) ** 2).sum()
        save_step(tmp_path, rg.record(loss, lags=True), step)
    history = rg.history(tmp_path)
    assert [(one.name, one.at_input, one.counts) for one in history.series] == [
        ("x into lstm", True, True), ("lstm", False, False), ("lstm_l1", False, False),
    ]  # fmt: skip
    assert {one.trend.trend for one in history.series} == {OPENING}
    assert history.gains == history.series[0].gains


def test_of_two_directions_the_one_counts_on_which_less_is_left(tmp_path: Path) -> None:
    for step, (forward, reverse) in enumerate([(0.9, 0.8), (0.8, 0.9), (0.7, 1.0)]):
        layer = nn.RNN(2, 3, nonlinearity="relu", bidirectional=True)
        for parameter in layer.parameters():
            key = parameter.name.rpartition(".")[2]
            rate = reverse if key.endswith("reverse") else forward
            parameter.value[...] = {"Wh": rate * np.eye(3), "Wx": 0.5}.get(key[:2], 0.0)
        loss = layer(rg.Tape().input(np.ones((2, 20, 2)), "x")).sum()
        save_step(tmp_path, rg.record(loss, lags=True), step)
    history = rg.history(tmp_path)
    counting = [one for one in history.series if one.counts]
    assert len(counting) == 2
    assert history.gains == tuple(map(min, counting[0].gains, counting[1].gains))
    assert counting[0].gains[0] > counting[1].gains[0]
    assert counting[0].gains[2] < counting[1].gains[2]


def test_bad_files_are_passed_by_and_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", [0.8, 0.9])
    (folder / "step-000000050.npz").write_bytes((folder / "step-000000000.npz").read_bytes()[:900])
    np.savez(folder / "step-000000060.npz", weights=np.ones(3))
    rg.record((nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 5, 2)))) ** 2).sum()).save(folder / "step-000000070.npz")
    network(0.8).save(folder / "run.npz")
    save_step(folder, network(0.5), 100).rename(folder / "zweite.npz")
    save_step(folder, network(0.9), 100)
    (folder / "step-000000080.npz").mkdir()
    (folder / "notes.txt").write_text("mine")
    history = rg.history(folder)
    assert history.steps == (0, 100)
    assert history.measurements[1].reach == 39
    reasons = {one.name: one.reason for one in history.skipped}
    assert set(reasons) == {
        "run.npz", "step-000000050.npz", "step-000000060.npz", "step-000000070.npz", "step-000000080.npz", "zweite.npz",
    }  # fmt: skip
    assert reasons["step-000000050.npz"].startswith("is damaged or not a trace: ")
    assert "it holds weights" in reasons["step-000000060.npz"]
    assert "holds no lags" in reasons["step-000000070.npz"]
    assert "is not a file" in reasons["step-000000080.npz"]
    assert "has no training step" in reasons["run.npz"]
    assert reasons["zweite.npz"] == "of step 100 there is another trace already, step-000000100.npz."
    for name in reasons:
        assert f"Passed by: {name}: " in str(history)


def test_a_trace_of_old_is_placed_by_the_number_in_its_name(tmp_path: Path) -> None:
    for step, rate in ((1000, 0.9), (20, 0.8), (3, 0.7)):
        network(rate).save(tmp_path / f"run_{step}.npz")
    history = rg.history(tmp_path)
    assert history.steps == (3, 20, 1000)
    assert [one.reach for one in history.measurements] == [reach(0.7), reach(0.8), reach(0.9)]
    assert history.measurements[0].loss == network(0.7).loss


def test_the_own_step_goes_before_the_name(tmp_path: Path) -> None:
    replace(network(0.8), training_step=7).save(tmp_path / "run_20.npz")
    assert rg.history(tmp_path).steps == (7,)


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "a.txt").write_text("a")
    (tmp_path / "without").mkdir()
    rg.record(nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 5, 2)))).sum()).save(tmp_path / "without" / "step-1.npz")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "step-1.npz").write_bytes(b"no")
    for name, kind, words in (
        ("missing", FileError, "is not there; name the folder"),
        ("foreign/a.txt", FileError, "is a file, and a folder of traces is needed"),
        ("empty", FileError, r"holds no trace \(.npz\), but nothing"),
        ("foreign", FileError, r"holds no trace \(.npz\), but 1 other file;"),
        ("damaged", FileError, "of 1 file in .* none can be used: step-1.npz: .* damaged"),
        ("without", InputError, "none can be used: step-1.npz: the trace holds no lags"),
        ("a" * 5000, FileError, "cannot be used"),
        ("a\0b", FileError, "is not there; name the folder"),
    ):
        with pytest.raises(kind, match=words):
            rg.history(tmp_path / name)
    with pytest.raises(InputError, match="the path is 3"):
        rg.history(3)  # type: ignore[arg-type]


def test_measurements_without_credit_are_kept(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", [0.8, 0.9])
    layer = nn.RNN(2, 3)
    silent = rg.record((layer(rg.Tape().input(np.ones((2, 40, 2)), "x")) * 0.0).sum(), lags=True)
    save_step(folder, silent, 200)
    history = rg.history(folder)
    assert math.isnan(history.gains[2])
    assert "Now, at step 200: " in str(history)
    (tmp_path / "silent").mkdir()
    save_step(tmp_path / "silent", silent, 0)
    assert str(rg.history(tmp_path / "silent")).startswith(
        "Too early to tell: 0 measurements with credit, and a trend takes 5. No credit could be measured."
    )
    assert history.measurements[2].flags == ("no_signal",)
    assert history.measurements[2].reach is None
    assert f"It reaches lag {reach(0.9)} at least; 1.8 % is left at lag 39." in str(history)
