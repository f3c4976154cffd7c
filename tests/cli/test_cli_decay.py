"""`rnngraph decay` as a shell sees it."""

from __future__ import annotations

import json
import math
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import save_file

from rnngraph.errors import FileError, InputError
from rnngraph.render.format import CHARTS
from tests.typed import strict, typed

run = partial(typed, "decay", width=120)
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="the target makes a PyTorch layer")

TARGET = """
def build(units=4, bias=1.0):
    import torch
    torch.manual_seed(0)  # other weights may make the axis a decade longer
    layer = torch.nn.LSTM(3, units, batch_first=True)
    with torch.no_grad():
        layer.bias_ih_l0[units : 2 * units] = bias
        layer.bias_hh_l0.zero_()
    return layer

def pair():
    import torch
    return build(), torch.ones(2, 9, 3)

def number():
    return 3

def broken():
    raise KeyError("mine")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a checkpoint of two layers, of which the second has no memory, and with targets."""
    monkeypatch.chdir(tmp_path)
    dt = np.array([0.001, 0.01, 0.1])
    tensors = {
        "backbone.layers.0.mixer.A_log": np.zeros(3),
        "backbone.layers.0.mixer.dt_bias": np.log(np.expm1(dt)),
        "backbone.layers.1.mixer.A_log": np.zeros(3),
        "backbone.layers.1.mixer.dt_bias": np.ones(3),
        "old.A_b_log": np.zeros((2, 2)),
    }
    save_file({name: value.astype(np.float32) for name, value in tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "mamba2"}')
    (tmp_path / "model.py").write_text(TARGET)
    return tmp_path


def test_the_document_holds_a_row_a_layer(folder: Path) -> None:
    document = strict(run(".", "--json", "--fresh"))
    assert document["schema"] == 1
    first, second = document["layers"]
    assert (first["name"], first["family"], first["n"]) == ("backbone.layers.0.mixer", "mamba-2", 3)
    half_lives = math.log(2) / np.array([0.1, 0.01, 0.001])
    truth = np.interp([0, 0.1, 0.5, 0.9, 1], [0, 0.5, 1], half_lives)
    np.testing.assert_allclose(first["quantiles"], truth, rtol=1e-5)
    assert first["findings"] == []
    assert [one["rule"] for one in second["findings"]] == ["no_memory", "uniform"]
    assert set(second["findings"][0]) == {"rule", "severity", "evidence", "cause", "advice", "text"}
    assert [one["name"] for one in document["unread"]] == ["old.A_b_log"]


def test_an_endless_half_life_is_null(folder: Path) -> None:
    save_file({"nu_log": np.array([-np.inf, 0.0], np.float32)}, folder / "model.safetensors")
    document = strict(run(".", "--json"))
    assert document["layers"][0]["quantiles"][-1] is None


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
@pytest.mark.parametrize("fresh", [(), ("--fresh",)])
def test_the_report_is_as_wide_as_the_page(folder: Path, width: int, fresh: tuple[str, ...]) -> None:
    printed = run(".", *fresh, width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert "at zero input" in " ".join(printed.split())
    assert "old.A_b_log" in "".join(printed.split())


def test_the_report_names_what_is_wrong_and_draws_the_histogram(folder: Path) -> None:
    printed = run(".", "--fresh")
    row = next(line for line in printed.splitlines() if line.startswith("backbone.layers.0.mixer"))
    assert row.split()[1:6] == ["mamba-2", "3", "6.93", "69.3", "693"]
    assert row.count("█") == 3  # three decays, a decade apart
    assert "no memory: backbone.layers.1.mixer: the longest half-life is 0.528 steps." in printed


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--fresh", "--fail-on", "no_memory"), 1),
        (("--fresh", "--fail-on", "frozen,no-memory"), 1),
        (("--fresh", "--fail-on", "frozen,non_finite"), 0),
        (("--fail-on", "frozen"), 0),
        (("--fresh", "--context", "10", "--fail-on", "never_forgets"), 0),
    ],
)
def test_fail_on_sets_the_status(folder: Path, options: tuple[str, ...], status: int) -> None:
    assert "backbone" in run("model.safetensors", *options, status=status)


def test_what_is_not_judged_does_not_pass(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "not judged" in run(".", "--fresh")
    assert run(".", "--fail-on", "frozen,non_finite")
    with pytest.raises(InputError, match=r"names no_memory, but backbone\.layers\.0\.mixer fits more than one"):
        run(".", "--fresh", "--fail-on", "frozen,no_memory")


@pytest.mark.parametrize("suffix", [row.name for row in CHARTS])
def test_a_picture_is_written_by_its_suffix(folder: Path, suffix: str) -> None:
    assert run(".", "--fresh", "-o", f"decay.{suffix}") == ""
    data = (folder / f"decay.{suffix}").read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!doctype html>"}[suffix])
    if suffix == "svg":
        ElementTree.fromstring(data)
        assert b"no memory" in data


def test_a_picture_goes_to_stdout(folder: Path) -> None:
    assert run(".", "-o", "-").startswith("<?xml")


def test_a_python_target_is_read_and_takes_settings(folder: Path) -> None:
    pytest.importorskip("torch")
    document = json.loads(run("model.py:build", "--set", "units=5", "--set", "bias=2.0", "--json"))
    (layer,) = document["layers"]
    assert (layer["family"], layer["n"], layer["name"]) == ("lstm", 5, "l0")
    np.testing.assert_allclose(layer["quantiles"], [math.log(2) / math.log1p(math.exp(-2))] * 5, rtol=1e-6)
    assert document["source"] == "model.py:build"


def test_a_batch_shows_credit_beside_the_weights(folder: Path) -> None:
    pytest.importorskip("torch")
    (layer,) = json.loads(run("model.py:pair", "--live", "--json"))["layers"]
    credit = layer["live"]["credit"]
    assert [one["lag"] for one in credit["curve"]] == list(range(1, 9))
    assert credit["reach"] >= 1
    printed = " ".join(run("model.py:pair", "--live").split())
    assert "credit halves in" in printed
    assert "lag 8" in printed
    still, moving = run("model.py:pair", "-o", "-"), run("model.py:pair", "--live", "-o", "-")
    assert ("credit left, by lag" in still, "credit left, by lag" in moving) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("nowhere.safetensors",), FileError, "there is no checkpoint"),
        (("model.py:number",), InputError, "returned a int"),
        (("model.py:broken",), InputError, "raised KeyError"),
        pytest.param(("model.py:build", "--live"), InputError, r"return \(module, batch\)", marks=NEEDS_TORCH),
        ((".", "--live"), InputError, "--live needs a Python function"),
        ((".", "--set", "a=1"), InputError, "--set needs a Python function"),
        ((".", "--loss", "sum"), InputError, "give --live as well"),
        ((".", "--context", "9"), InputError, "--fresh"),
        ((".", "--fail-on", "no_memory"), InputError, "give --fresh as well"),
        ((".", "--fail-on", "vanishing"), InputError, "no finding of decay"),
        ((".", "--config", "nowhere.json"), FileError, "no configuration nowhere.json"),
        ((".", "--json", "-o", "a.svg"), InputError, "leave one of them out"),
        ((".", "-o", "a.bmp"), InputError, "no suffix that decays can be drawn in"),
        ((".", "-o", "config.svg/a.svg"), FileError, "does not exist"),
        ((".", "-o", "notes.svg"), FileError, "exists and is no svg file"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(folder: Path, arguments: Any, kind: Any, words: str) -> None:
    (folder / "notes.svg").write_text("my notes")
    before = sorted(folder.iterdir())
    with pytest.raises(kind, match=words) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    assert [one for one in sorted(folder.iterdir()) if one.name != "__pycache__"] == before
