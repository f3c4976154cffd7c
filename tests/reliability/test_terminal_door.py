"""Nothing that a file or a user's code says is obeyed by a terminal, whichever command says it on.

A command without a row in `COMMANDS` fails the first test.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph import Trace
from rnngraph.cli import app, console
from rnngraph.trace import store
from tests.fuzz.arrays import npy
from tests.fuzz.good import safetensors
from tests.hostile import AWKWARD, MARKUP, TERMINAL, in_company, obeyed
from tests.reliability.commands import Said, batch, complaint, run_here
from tests.reliability.hostile_traces import hostile_trace

# A terminal obeys no markup but Rich's; the rest of that table is for pictures.
STRINGS = in_company(TERMINAL | AWKWARD | {key: MARKUP[key] for key in ("rich", "json", "format", "shell")})
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "render": (("render", "SAVED", "-o", "OUTPUT.json"), ("render", "SAVED", "-o", "-", "--format", "mermaid")),
    "norms": (
        ("norms", "SAVED"),
        ("norms", "SAVED", "--json"),
        ("norms", "SAVED", "--table"),
        ("norms", "SAVED", "--steps", "all"),
        ("norms", "SAVED", "--from", "TEXT"),
    ),
    "lags": (
        ("lags", "SAVED"),
        ("lags", "SAVED", "--json"),
        ("lags", "SAVED", "--state", "TEXT"),
        ("lags", "SAVED", "-o", "OUTPUT.svg"),
    ),
    "diagnose": (
        ("diagnose", "SAVED"),
        ("diagnose", "SAVED", "--json"),
        ("diagnose", "SAVED", "--fail-on", "TEXT"),
        ("diagnose", "SAVED", "--verbose"),
    ),
    "context": (("context", "TARGET"), ("context", "TARGET", "--json"), ("context", "TEXT")),
    "decay": (
        ("decay", "LINEAR"),
        ("decay", "LINEAR", "--json"),
        ("decay", "LINEAR", "-o", "OUTPUT.svg"),
        ("decay", "TEXT"),
        ("decay", "LINEAR", "--fail-on", "TEXT"),
    ),
    "history": (
        ("history", "FOLDER"),
        ("history", "FOLDER", "--json"),
        ("history", "FOLDER", "-o", "OUTPUT.svg"),
        ("history", "TEXT"),
    ),
    "compare": (
        ("compare", "SAVED", "FOLDER"),
        ("compare", "SAVED", "SAVED", "--json", "--fail-on", "worse"),
        ("compare", "SAVED", "SAVED", "-o", "OUTPUT.svg"),
        ("compare", "SAVED", "TEXT"),
        ("compare", "SAVED", "SAVED", "--fail-on", "TEXT"),
    ),
    "trace": (("trace", "SAVED", "-o", "OUTPUT.npz"), ("trace", "-o", "TEXT")),
    "check": (("check", "TEXT"), ("check", "TARGET", "--directions", "1"), ("check", "TARGET", "--json")),
}
TARGET = """
from rnngraph import Tape, nn
import numpy as np
def f():
    tape = Tape()
    return nn.RNN(3, 2, seed=0, name={text!r})(tape.input(np.ones((1, 2, 3)), {text!r})).sum()
def g():
    raise type({name!r}, (Exception,), {{}})({text!r})
"""


READ: dict[bytes, Trace] = {}


class Terminal(io.TextIOWrapper):
    """What says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@cache
def saved(text: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        hostile_trace(text).save(f"{folder}/run.npz")
        return Path(folder, "run.npz").read_bytes()


@pytest.fixture(autouse=True)
def the_same_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten commands read a trace, which would take most of their time."""
    read = store.load

    def load(path: str | Path) -> Trace:
        data = Path(path).read_bytes() if Path(path).is_file() else b""
        if data not in READ:
            READ[data] = read(path)
        return READ[data]

    monkeypatch.setattr(store, "load", load)


def quiet(said: Said) -> Said:
    assert not obeyed(said.stdout), ascii(said.stdout)
    assert not obeyed(said.stderr), ascii(said.stderr)
    assert "Traceback (most recent call last):" not in said.stderr
    return said


def argument(text: str) -> str:
    return os.fsdecode(text.replace("\0", "").encode("utf-8", "replace"))


def test_every_command_has_a_row() -> None:
    assert set(COMMANDS) == {command.__name__ for command, _ in app.COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("key", STRINGS)
def test_no_command_passes_it_on(name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = STRINGS[key]
    (tmp_path / "run.npz").write_bytes(saved(text))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "step-1.npz").write_bytes(saved(text))
    with contextlib.suppress(OSError):  # no file can have such a name
        (tmp_path / "runs" / f"{argument(text)[:50].replace('/', '')}.npz").write_bytes(b"no trace")
    code = TARGET.format(text=text, name=text.replace("\0", "") or "E").encode("utf-8", "backslashreplace")
    (tmp_path / "t.py").write_bytes(code)
    (tmp_path / "linear.safetensors").write_bytes(
        safetensors({f"{text}.A_log": np.zeros((4, 2)), f"{text}.dt_proj.bias": np.zeros(4)})
    )
    places = {"SAVED": "run.npz", "TEXT": argument(text), "TARGET": "t.py:f", "OUTPUT.json": "o.json",
              "OUTPUT.npz": "o.npz", "OUTPUT.svg": "o.svg", "LINEAR": "linear.safetensors",
              "FOLDER": "runs"}  # fmt: skip
    for arguments in COMMANDS[name]:
        said = run_here(*(places.get(one, one) for one in arguments))
        assert said.status in (0, 1, 2, 3), said
        if "mermaid" not in arguments and (arguments[-1], text) != ("TEXT", "-"):  # a pipe gets a file as it is
            quiet(said)
        if "--json" in arguments and said.status < 2:
            json.loads(said.stdout)


@pytest.mark.parametrize("key", STRINGS)
def test_a_users_exception_and_its_kind(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = STRINGS[key]
    code = TARGET.format(text=text, name=text.replace("\0", "") or "E").encode("utf-8", "backslashreplace")
    (tmp_path / "t.py").write_bytes(code)
    said = quiet(run_here("norms", "t.py:g"))
    assert said.status == 2
    assert len(said.stderr) < 200_000


@pytest.mark.parametrize("key", STRINGS)
def test_names_in_files(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = STRINGS[key]
    batch(tmp_path)
    (tmp_path / "w.safetensors").write_bytes(safetensors({f"{text}weight_hh_l0": np.zeros((4, 5)), text: np.zeros(3)}))
    complaint(quiet(run_here("norms", "--weights", "w.safetensors", "--data", "d.npz")), 2)
    import zipfile

    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr(argument(text)[:60_000] + ".npy", npy(np.zeros(3)) + b"too long")
    complaint(quiet(run_here("norms", "--weights", "w.npz", "--data", "d.npz")), 3)
    complaint(quiet(run_here("norms", "w.npz")), 3)
    complaint(quiet(run_here("norms", "--weights", "w.safetensors", "--data", "w.npz")), 3)


@pytest.mark.parametrize("key", TERMINAL)
def test_a_text_format_on_a_terminal_is_shown_and_not_obeyed(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal(io.BytesIO(), "utf-8", "replace", write_through=True)
    monkeypatch.setattr(sys, "stdout", shown)
    console.write_output_bytes(f"before {TERMINAL[key]} after\n".encode("utf-8", "backslashreplace"))
    text = shown.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert not obeyed(text)
    assert text.startswith("before ")
    assert text.endswith(" after\n")


@pytest.mark.parametrize("key", TERMINAL)
def test_a_json_report_keeps_its_meaning(key: str) -> None:
    text = TERMINAL[key]
    written = console.shown(json.dumps(text, ensure_ascii=False))
    assert not obeyed(written)
    assert json.loads(written) == text


def test_what_needs_no_code_is_shown_as_it_is() -> None:
    for text in ("Größe 日本語 ‖∂L/∂h‖", "a\tb\nc", "👩\u200d👩", "\u00a0\u3000", "\\u001b"):
        assert console.shown(text) == text


def test_status_and_warnings_go_through_it_too(capfd: Any) -> None:
    console.status("wrote \x1b[31m.npz")
    console.warn("\u202e", UserWarning, "a\x1b.py", 3)
    console.complain("a\nb\x9b" + "x" * 10_000, before="line\x1b\nline\n")
    _, errors = capfd.readouterr()
    assert not obeyed(errors)
    assert errors.count("\n") == 5
    assert len(errors) < 3000
