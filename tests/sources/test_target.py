"""Python targets: how they are named, what they may return, and what is shown when they fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import FileError, InputError
from rnngraph.sources.target.arguments import settings_from
from rnngraph.sources.target.run import is_target, opened
from tests import programs

MODEL = """
import numpy as np
import rnngraph as rg

def build(units=4, *, cell="RNN"):
    print("this is no report")
    tape = rg.Tape()
    x = tape.input(np.ones((2, 5, 3)))
    return getattr(rg.nn, cell)(3, units)(x).sum()

def parses():
    from argparse import ArgumentParser
    parser = ArgumentParser()
    parser.add_argument("--units", default=4)
    return build(parser.parse_args().units)

def ready():
    return rg.record(build(), source="elsewhere")

def cache():
    tape = build().tape
    tape.starts[len(tape) - 1] = np.ones(())
    return tape

def fails():
    return helper({})

def helper(table):
    return table["missing"]

def misuses():
    return rg.nn.GRU(3, 4)(np.ones(3))

def nothing():
    pass

def needs(size, /, other):
    pass

async def waits():
    pass

def leaves():
    raise SystemExit("enough")

class Factory:
    @staticmethod
    def build():
        return build()

number = 3
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_users_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "a_users_model", raising=False)
    return str(tmp_path / "a_users_model.py")


@pytest.mark.parametrize("place", ["a_users_model.py", "a_users_model"])
@pytest.mark.parametrize("name", ["build", "Factory.build", "cache"])
def test_files_and_modules(model: str, place: str, name: str) -> None:
    trace = opened(f"{place}:{name}").run()[0]
    assert (trace.source, trace.timesteps, trace.states[0].name) == (f"{place}:{name}", 5, "rnn.h")


def test_a_trace_that_the_function_made_itself(model: str) -> None:
    assert opened(f"{model}:ready").run()[0].source == "elsewhere"


def test_settings(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    trace = opened(f"{model}:build", settings_from(["units=7", "cell=GRU"])).run()[0]
    assert next(one for one in trace.parameters if one.name == "gru.Wh").shape == (7, 21)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "this is no report\n")
    assert opened(f"{model}:build").loss().shape == ()
    assert settings_from(["a=1", "b=[1, 2]", "c=x=y", "d=", "e=None"]) == {
        "a": 1, "b": [1, 2], "c": "x=y", "d": "", "e": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("build", {"unit": 3}, r"has no parameter 'unit', which --set gives; it takes units, cell"),
        ("nothing", {"unit": 3}, "it takes nothing"),
        ("needs", {}, "needs a value for size"),
        ("nothing", {}, r"returned nothing \(None\); return a loss"),
        ("absent", {}, r"has no 'absent'; it defines build, parses, ready, cache"),
        ("number", {}, "is a value of type int and cannot be called"),
        ("waits", {}, "is a coroutine"),
        ("leaves", {}, "raised SystemExit: enough"),
    ],
)
def test_one_sentence(model: str, name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(f"{model}:{name}", settings).run()


def test_only_the_users_own_frames(model: str) -> None:
    with pytest.raises(InputError, match=r":fails raised KeyError: 'missing'\.$") as caught:
        opened(f"{model}:fails").run()
    frames = caught.value.frames  # type: ignore[attr-defined]
    assert [line.split(", in ")[1] for line in frames.splitlines() if "File" in line] == ["fails", "helper"]
    with pytest.raises(InputError, match=r"^gru got a ndarray") as caught:
        opened(f"{model}:misuses").run()
    frames = caught.value.frames  # type: ignore[attr-defined]
    assert [line.split(", in ")[1] for line in frames.splitlines() if "File" in line] == ["misuses"]


def test_files_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(FileError, match=r"there is no file .*none\.py"):
        opened(f"{tmp_path}/none.py:build").run()
    with pytest.raises(InputError, match=r"no module 'no_such_package' \(for no_such_package\.part\)"):
        opened("no_such_package.part:build").run()
    (tmp_path / "broken.py").write_text("def build(:\n")
    with pytest.raises(InputError, match=r"raised SyntaxError: invalid syntax \(.*broken\.py, line 1\)"):
        opened(f"{tmp_path}/broken.py:build").run()
    (tmp_path / "imports.py").write_text("import not_installed_here\n")
    with pytest.raises(InputError, match=r"raised ModuleNotFoundError: No module named 'not_installed_here'") as caught:
        opened(f"{tmp_path}/imports.py:build").run()
    frames = caught.value.frames  # type: ignore[attr-defined]
    assert [line.split('"')[1] for line in frames.splitlines() if "File" in line] == [f"{tmp_path}/imports.py"]


def test_a_file_named_as_a_module_does_not_replace_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text(MODEL)
    assert opened(f"{tmp_path}/json.py:build").run()[0].timesteps == 5
    assert sys.modules["json"] is json


def test_a_function_of_numpy_that_needs_nothing_is_traced(tmp_path: Path) -> None:
    source = """
import numpy as np
W, x = np.full((3, 3), 0.2), np.ones((5, 3))

def loss(W, x, scale=1.0):
    h, grad = np.zeros(3), np.zeros((3, 3))
    for now in x:
        h = np.tanh(now + scale * W @ h)
    return (h**2).sum(), grad

def run(scale=1.0):
    return loss(W, x, scale)
"""
    (tmp_path / "plain.py").write_text(source)
    target = opened(f"{tmp_path / 'plain.py'}:run", {"scale": 0.5})
    trace, trial = target.run(lags=True)
    assert [one.name for one in trace.recurrences] == ["W"]
    assert trial is not None
    grad = trace.states[0].grad.value
    slope = 1 - target.value.outputs[0] / 3  # all units are alike, and W has the eigenvalue 0.6
    assert grad[-2] / grad[-1] == pytest.approx(0.5 * 0.6 * slope, rel=1e-12)
    report, _ = target.check(directions=3, seed=0)  # `grad` is wrong, and nothing says that it is a gradient
    assert report.passed
    assert "nothing is known to be one of its own" in report.note


def test_what_is_a_target() -> None:
    good = ("model.py:build", "a/b.py:build", "package.module:app.build", "module:f", "C:\\x\\model.py:build")
    bad = (None, "run.npz", "model.py", "a b:c", "model.py:", ":build", "x/y:z", "model.py:1")
    assert [is_target(text) for text in good] == [True] * 5
    assert [is_target(text) for text in bad] == [False] * 8


@pytest.mark.parametrize(("text", "message"), [("a", "not of the form key=value"), ("1=2", "not of the form")])
def test_settings_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_from([text])
    with pytest.raises(InputError, match="gives a twice"):
        settings_from(["a=1", "a=2"])


def command(*arguments: str) -> programs.Ended:
    return programs.run(*arguments, folder=Path.cwd())


def test_the_command_line_takes_targets_and_checkpoints(model: str, tmp_path: Path) -> None:
    done = command("norms", "a_users_model.py:build", "--set", "units=6", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)
    assert command("norms", f"{model}:parses", "--json").returncode == 0  # our arguments are not the script's
    done = command("norms", f"{model}:fails")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("Traceback")
    assert done.stderr.splitlines()[-1] == f"rnngraph: {model}:fails raised KeyError: 'missing'."
    assert "rnngraph/" not in done.stderr
    weights: dict[str, Any] = dict(rnngraph.nn.GRU(3, 4).state_dict())
    np.savez(tmp_path / "w.npz", **weights)
    np.savez(tmp_path / "d.npz", x=np.ones((1, 4, 3)))
    done = command("norms", "--weights", "w.npz", "--data", "d.npz", "--json")
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, "found gru: gru, 3 -> 4 units")
    done = command("check", "--weights", "w.npz", "--data", "d.npz", "--loss", "every")
    assert done.returncode == 0
    for arguments, message in (
        (("--weights", "w.npz", "--data", "d.npz", "--layers", "2"), "--layers changes the demo's model"),
        (("--weights", "w.npz", "--data", "d.npz", "--set", "a=1"), "--set gives a Python function its arguments"),
        (("a_users_model.py:build", "--weights", "w.npz"), "are two sources"),
        (("a_users_model.py:build", "--data", "d.npz"), "build has no parameter 'x', which d.npz gives"),
        (("--data", "d.npz"), "--data means nothing here, because without SOURCE and --weights the demo is run"),
        (("--weights", "w.npz", "--data", "d.npz", "--vocabulary", "d.npz"), "give the text with --text FILE"),
    ):
        done = command("norms", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert command("norms", "--weights", "none.npz", "--data", "d.npz").returncode == 3
