"""`rnngraph compare` as a shell sees it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import FileError, InputError
from rnngraph.render.format import CHARTS
from tests.history.trainings import gain, network, reach, save
from tests.typed import strict, typed

run = partial(typed, "compare", width=120)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with two networks and two trainings."""
    monkeypatch.chdir(tmp_path)
    network(0.9).save("a.npz")
    network(0.7).save("b.npz")
    save(tmp_path / "up", [0.7, 0.75, 0.8, 0.85, 0.9])
    save(tmp_path / "down", [0.9, 0.85, 0.8, 0.75, 0.7])
    return tmp_path


def lstm(path: str, bias: float, layers: int = 1) -> None:
    layer = nn.LSTM(2, 4, num_layers=layers, forget_bias=bias)
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(3, 30, 2)), "x")
    rg.record((layer(x) ** 2).sum(), lags=True).save(path)


def test_the_document(folder: Path) -> None:
    document = strict(run("a.npz", "b.npz", "--json"))
    assert document["schema"] == 1
    assert (document["a"]["reach"], document["b"]["reach"]) == (reach(0.9), reach(0.7))
    assert (document["a"]["verdict"], document["b"]["verdict"]) == ("healthy", "vanishing")
    curves = document["curves"][0]
    assert document["deciding"] == curves["name"] == "x into relu"
    for key, rate in (("a", 0.9), ("b", 0.7)):
        assert curves[key]["gain"] == pytest.approx(gain(rate, 39))
        np.testing.assert_allclose(curves["left"][key], [gain(rate, lag) for lag in range(1, 40)], atol=1e-5)
    assert document["parting"]["state"] == "relu.h"
    assert document["parting"]["timestep"] == {"a": 34, "b": 34}  # 5 log10(9 / 7) is 0.55
    assert document["worse"] is None
    assert document["left_out"] == []


def test_gates_and_saturation_stand_beside_each_other(folder: Path) -> None:
    lstm("l.npz", 0.0)
    lstm("m.npz", 6.0, layers=2)
    printed = run("l.npz", "m.npz")
    row = next(line for line in printed.splitlines() if line.startswith("lstm.f: mean, saturated"))
    assert row.split()[-3:] == ["1.00,", "100", "%"]
    forget = next(gate for gate in rg.Trace.load("l.npz").gates if gate.gate == "f")
    assert row.split()[3:6] == [f"{forget.mean.sum() / 30:.2f},", "0", "%"]
    assert "Not in common: only B has lstm_l1: nothing of A is set against that." in " ".join(printed.split())
    gates = json.loads(run("l.npz", "m.npz", "--json"))["gates"]
    assert [one["name"] for one in gates] == ["lstm.i", "lstm.f", "lstm.o", "lstm.g"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_is_as_wide_as_the_page(folder: Path, width: int) -> None:
    printed = run("up", "down", width=width)
    assert max(map(len, printed.splitlines())) <= width
    said = " ".join(printed.split())
    assert "A reaches further: lag 39 at least, where B reaches lag 13; 1.8 % is left at lag 39 in A" in said
    assert "A, the training: Opening since step 0" in said
    assert "B, the training: Closing since step 0" in said


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("a.npz", "b.npz", "--fail-on", "worse"), 1, "Worse: x into relu: the reach fell from lag 39 to lag 13."),
        (("b.npz", "a.npz", "--fail-on", "worse"), 0, "Not worse."),
        (("a.npz", "b.npz", "--fail-on", "worse", "--tolerance", "9"), 0, "Not worse."),
        (("a.npz", "a.npz", "--fail-on", "worse", "--tolerance", "0"), 0, "Not worse."),
        (("up", "down", "--fail-on", "worse"), 1, "Worse: x into relu: at lag 39"),
    ],
)
def test_fail_on_sets_the_status(folder: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    assert words in run(*arguments, status=status)
    document = json.loads(run(*arguments, "--json", status=status))
    assert bool(document["worse"]) == bool(status)
    run(*arguments, "-o", "c.svg", status=status)
    assert Path("c.svg").exists()


@pytest.mark.parametrize("suffix", [row.name for row in CHARTS])
def test_pictures(folder: Path, suffix: str) -> None:
    assert run("a.npz", "b.npz", "-o", f"c.{suffix}") == ""
    data = Path(f"c.{suffix}").read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!doctype html>"}[suffix])


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("missing.npz", "b.npz"), FileError, "missing.npz is not a file"),
        (("a.npz", "empty"), FileError, "holds no trace"),
        (("a.npz", "text.npz"), FileError, "damaged or not a trace"),
        (("a.npz", "without.npz"), InputError, "B, without.npz: the trace holds no lags"),
        (("a.npz", "b.npz", "--fail-on", "vanishing"), InputError, "--fail-on names 'vanishing'; a comparison can be"),
        (("a.npz", "b.npz", "--tolerance", "1"), InputError, "give --fail-on worse as well"),
        (("a.npz", "b.npz", "--fail-on", "worse", "--tolerance", "-1"), InputError, "the tolerance is -1.0"),
        (("a.npz", "b.npz", "--fail-on", "worse", "--tolerance", "nan"), InputError, "the tolerance is nan"),
        (("a.npz", "b.npz", "--horizon", "99"), InputError, "A, a.npz: the horizon is 99"),
        (("a.npz", "b.npz", "-o", "c.bmp"), InputError, "no suffix that a comparison can be drawn in"),
        (("a.npz", "b.npz", "-o", "c.svg", "--json"), InputError, "leave one of them out"),
    ],
)
def test_bad_input_leaves_no_file(folder: Path, arguments: tuple[str, ...], kind: type, words: str) -> None:
    (folder / "empty").mkdir()
    (folder / "text.npz").write_text("no")
    rg.record(nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 5, 2)))).sum()).save("without.npz")
    before = sorted(folder.rglob("*"))
    with pytest.raises(kind, match=words):
        run(*arguments)
    assert sorted(folder.rglob("*")) == before
