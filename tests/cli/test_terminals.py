"""What changes where stdout is a terminal: colours, width, and no binary."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest


def run_in_terminal(*arguments: str, folder: Path, width: int = 80, **environment: str) -> tuple[int, str, str]:
    """Run the command with stdout on a terminal of this width; return status, stdout and stderr."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "rnngraph", *arguments, "--hidden-size", "4", "--batch", "2"],
        stdout=slave,
        stderr=subprocess.PIPE,
        stdin=slave,
        cwd=folder,
        env={
            **inherited,
            "TERM": "xterm-256color",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment,
        },
    )
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux reports the end of a terminal so
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    _, errors = process.communicate(timeout=120)
    return process.returncode, b"".join(parts).decode(), errors.decode()


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_fits_the_terminal_and_has_colours(tmp_path: Path, width: int) -> None:
    for options, word in (((), "from the loss at t=3"), (("--table",), "‖dWh‖")):
        status, text, errors = run_in_terminal("norms", *options, folder=tmp_path, width=width, NO_COLOR="1")
        assert (status, errors) == (0, "")
        plain = text.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", "")
        assert "\x1b" not in plain  # NO_COLOR leaves bold and dim, which are no colours
        assert max(map(len, plain.split("\r\n"))) <= width
        assert word in plain
        assert "\x1b[" in run_in_terminal("norms", *options, folder=tmp_path, width=width)[1].replace("\x1b[1m", "")


@pytest.mark.parametrize("arguments", [("trace", "-o", "-"), ("render", "-o", "-", "--format", "png")])
def test_a_binary_format_is_never_written_to_a_terminal(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, text, errors = run_in_terminal(*arguments, folder=tmp_path)
    assert (status, text) == (2, "")
    assert "is binary and stdout is a terminal" in errors


def test_a_text_format_is(tmp_path: Path) -> None:
    status, text, _ = run_in_terminal("render", "-o", "-", "--format", "dot", folder=tmp_path)
    assert status == 0
    assert text.startswith("digraph")


def test_long_work_says_how_far_it_is_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = """
import rnngraph.cli.console as console
console.PATIENCE_SECONDS = console._REFRESH_SECONDS = 0.0
import sys
sys.argv = ["rnngraph", "norms", "--timesteps", "1500", "--hidden-size", "4", "--batch", "2", "--cell", "lstm",
            "--forget-bias", "4"]
from rnngraph.cli.app import main
main()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm-256color"}
    master, slave = pty.openpty()
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, cwd=tmp_path, env=environment)
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    assert process.communicate(timeout=120)[0].startswith(b"The gradient ")
    shown = b"".join(parts).decode("utf-8", "replace")
    assert "recording the run: walking 32 losses back: step " in shown
    assert " of 1,500" in shown
    piped = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=True)
    assert piped.stderr == b""


@pytest.mark.parametrize("columns", ["0", "-3", "wide"])
def test_a_width_that_is_none_does_not_swallow_the_report(columns: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "rnngraph", "diagnose", "--hidden-size", "4", "--batch", "2"]
    environment = {**os.environ, "COLUMNS": columns, "PYTHONPATH": str(Path(__file__).parents[2])}
    piped = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert "Verdict: " in piped.stdout
    status, text, _ = run_in_terminal("diagnose", folder=tmp_path, width=60, COLUMNS=columns, NO_COLOR="1")
    assert status == 0
    plain = [line for line in text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines() if line]
    assert plain[0].startswith(("The gradient ", "It remembers: "))
    assert max(len(line) for line in plain) <= 80  # with its style codes
