"""The command line as a shell sees it: status, stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rnngraph
from rnngraph.nn.affine import LINEAR
from rnngraph.sources.demo import DemoOptions, build
from tests import programs
from tests.typed import strict


def run(*arguments: str, folder: Path) -> programs.Ended:
    return programs.run(*arguments, folder=folder, warnings="error")


SMALL = ("--hidden-size", "4", "--batch", "2")


def test_norms_reports_on_stdout_alone_and_without_colour_in_a_pipe(tmp_path: Path) -> None:
    for options, words in (
        ((), ("<START>", "from the loss at t=", "rnn.h", "lag", "left", "kept", "--table")),
        (("--table",), ("<START>", "‖∂L/∂h‖", "immediate", "carried", "gain", "‖dWh‖", "rnn.h:")),
    ):
        result = run("norms", *options, *SMALL, folder=tmp_path)
        assert result.returncode == 0
        assert result.stderr == ""
        assert "\x1b" not in result.stdout
        for word in words:
            assert word in result.stdout
        assert "…" not in result.stdout


def test_json_is_one_strict_document(tmp_path: Path) -> None:
    result = run("norms", "--json", "--cell", "lstm", "--timesteps", "9", *SMALL, folder=tmp_path)
    document = strict(result.stdout)
    assert [state["name"] for state in document["states"]] == ["lstm.h", "lstm.c"]
    assert [step["t"] for step in document["states"][0]["steps"]] == list(range(9))
    assert result.stderr == ""


def test_a_saved_run_reports_the_same_as_the_model(tmp_path: Path) -> None:
    saved = run("trace", "-o", "run.npz", *SMALL, folder=tmp_path)
    assert (saved.returncode, saved.stdout) == (0, "")
    assert "wrote run.npz" in saved.stderr
    first, second = (
        run("norms", "--json", *SMALL, folder=tmp_path),
        run("norms", "run.npz", "--json", folder=tmp_path),
    )
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_render_writes_the_picture(tmp_path: Path) -> None:
    result = subprocess.run(  # from the start of Python on
        [sys.executable, "-W", "error", "-m", "rnngraph", "render", *SMALL],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(programs.ROOT)},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "")
    assert "wrote unrolled.svg" in result.stderr
    assert "<svg" in (tmp_path / "unrolled.svg").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["unrolled.svg"]


def test_render_is_seen_from_one_loss_or_from_all(tmp_path: Path) -> None:
    for options, seen in (
        ((), True),
        (("--from", "2"), True),
        (("--from", "total"), False),
        (("--color", "gain"), False),
    ):
        result = run("render", "-o", "-", "--format", "json", *options, *SMALL, folder=tmp_path)
        document = json.loads(result.stdout)
        assert (document["seen_from"] is not None) == seen
        if "2" in options:
            assert document["seen_from"]["timestep"] == 2


def test_a_run_without_lags_is_seen_from_all_and_says_how_to_get_the_other(tmp_path: Path) -> None:
    rnngraph.record(build(DemoOptions(timesteps=4, hidden_size=3, batch=2))).save(tmp_path / "run.npz")
    result = run("render", "run.npz", "-o", "-", "--format", "json", folder=tmp_path)
    assert json.loads(result.stdout)["seen_from"] is None
    assert "record(..., lags=True)" in " ".join(result.stderr.split())


def test_render_to_stdout(tmp_path: Path) -> None:
    result = run("render", "-o", "-", "--format", "dot", *SMALL, folder=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("digraph")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("norms", "--timesteps", "0"), 2, "the number of timesteps is 0, but it must be at least 1."),
        (("norms", "--batch", "801"), 2, "the batch is 801, but there are 800 images"),
        (
            ("norms", "--cell", "elman"),
            2,
            "the cell 'elman' is not known: choose one of rnn, relu, lstm, gru.",
        ),
        (("norms", "--forget-bias", "1"), 2, "use LSTM"),
        (("norms", "--steps", "90:99"), 2, "90:99"),
        (("norms", "--state", "nothing"), 2, "there is no state 'nothing'"),
        (("norms", "--json", "--steps", "1"), 2, "--json always holds every step"),
        (("norms", "--table", "--from", "3"), 2, "--table shows the sum over all losses, but --from is 3"),
        (("norms", "model.txt"), 2, "SOURCE 'model.txt' is of no known kind"),
        (("norms", "model.py"), 2, "SOURCE 'model.py' names no function of the file: write model.py:NAME"),
        (
            ("norms", "good.npz", "--cell", "lstm"),
            2,
            "--cell changes the demo's model, but good.npz is a saved run",
        ),
        (("norms", "missing.npz"), 3, "missing.npz"),
        (("norms", "foreign.npz"), 3, "foreign.npz"),
        (("norms", "folder.npz"), 3, "folder.npz"),
        (("render", "-o", "picture.xyz"), 2, "'picture.xyz'"),
        (("render", "--format", "xyz"), 2, "'xyz'"),
        (("render", "-o", "nowhere/picture.svg"), 3, "nowhere"),
        (("render", "-o", "notes.svg"), 3, "notes.svg"),
        (("render", "-o", "folder.npz"), 3, "is a folder"),
        (("render", "--color", "pink"), 2, "pink"),
        (("render", "--from", "never"), 2, "--from is 'never'; give last, total or the timestep of a loss."),
        (
            ("render", "--from", "lsat"),
            2,
            "--from is 'lsat'; give last, total or the timestep of a loss; did you mean last?",
        ),
        (("render", "--from", "99"), 2, "no loss at t=99"),
        (("render", "--from", "last", "--color", "gain"), 2, "belongs to the sum over all losses"),
        (("render", "--width", "150"), 2, "the width is 150"),
        (("render", "--theme", "pink"), 2, "the theme 'pink'"),
        (("trace", "-o", "nowhere/run.npz"), 3, "the folder 'nowhere' does not exist"),
        (("trace", "-o", "run.txt"), 2, "ends in .npz"),
        (("trace", "-o", "foreign.npz"), 3, "exists and is no saved run"),
        (("trace", "-o", "folder.npz"), 3, "is a folder"),
        (("check", "good.npz"), 2, "holds numbers and no model to run"),
        (("check", "--directions", "0"), 2, "--directions is 0"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status(
    tmp_path: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    (tmp_path / "foreign.npz").write_bytes(b"PK\x03\x04 not really")
    (tmp_path / "notes.svg").write_text("my notes")
    (tmp_path / "good.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    result = run(*arguments, folder=tmp_path)
    assert result.returncode == status
    assert result.stdout == ""
    assert result.stderr.startswith("rnngraph: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("arguments", [("nothing",), ("norms", "--nothing"), ("norms", "--batch", "x"), ("trace",)])
def test_a_wrong_command_line_is_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Usage: rnngraph" in result.stderr
    assert "Traceback" not in result.stderr


def test_force_overwrites_and_the_same_kind_needs_none(tmp_path: Path) -> None:
    target = tmp_path / "run.npz"
    target.write_text("my notes")
    assert run("trace", "-o", "run.npz", "--force", *SMALL, folder=tmp_path).returncode == 0
    first = target.read_bytes()
    assert run("trace", "-o", "run.npz", "--seed", "1", *SMALL, folder=tmp_path).returncode == 0
    assert target.read_bytes() != first


def test_check_passes_on_the_demo(tmp_path: Path) -> None:
    result = run("check", *SMALL, folder=tmp_path)
    assert result.returncode == 0
    assert "gradients agree with central differences" in result.stdout
    assert json.loads(run("check", "--json", *SMALL, folder=tmp_path).stdout)["passed"] is True


def test_a_wrong_rule_fails_the_check_with_status_1(tmp_path: Path) -> None:
    broken = """
import dataclasses, sys
from rnngraph.cli.app import main
from rnngraph.nn import layers

right = layers.LINEAR
layers.LINEAR = dataclasses.replace(right, vjp=lambda g, node: right.vjp(1.01 * g, node))
sys.argv = ["rnngraph", "check", "--hidden-size", "4", "--batch", "2"]
main()
"""
    (tmp_path / "broken.py").write_text(broken)
    result = programs.run("broken.py", folder=tmp_path)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert f"the vjp of {LINEAR.name} is wrong" in " ".join(result.stdout.split())


def test_a_device_has_no_size_and_an_empty_file_may_become_a_run(tmp_path: Path) -> None:
    result = run("render", "-o", "/dev/null", "--format", "dot", *SMALL, folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "wrote /dev/null\n")
    (tmp_path / "run.npz").touch()
    assert run("trace", "-o", "run.npz", *SMALL, folder=tmp_path).returncode == 0
    assert (tmp_path / "run.npz").stat().st_size > 0
