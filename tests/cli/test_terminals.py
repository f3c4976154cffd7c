"""What changes where stdout is a terminal: colours, width, and no binary."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from rnngraph.cli.console import one_line
from rnngraph.cli.streams import SIMPLER
from tests.programs import run, start


def run_in_terminal(*arguments: str, folder: Path, width: int = 80, **environment: str) -> tuple[int, str, str]:
    """Run the command with stdout on a terminal of this width; return status, stdout and stderr."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    plain = {"COLUMNS": None, "NO_COLOR": None, "TERM": "xterm-256color"}
    with TemporaryFile() as errors:
        program = start(
            *arguments, "--hidden-size", "4", "--batch", "2", folder=folder, environment=plain | environment,
            stdin=slave, stdout=slave, stderr=errors.fileno(),
        )  # fmt: skip
        os.close(slave)
        shown = everything(master)
        status, _ = program.wait()
        errors.seek(0)
        return status, shown, errors.read().decode()


def everything(master: int) -> str:
    """Read what is shown on a terminal until nobody can write to it."""
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
    return b"".join(parts).decode("utf-8", "replace")


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


def test_long_work_says_how_far_it_is_on_a_terminal_alone(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("""
import rnngraph.cli.console as console
console.PATIENCE_SECONDS = console._REFRESH_SECONDS = 0.0
import sys
sys.argv = ["rnngraph", "norms", "--timesteps", "1500", "--hidden-size", "4", "--batch", "2", "--cell", "lstm",
            "--forget-bias", "4"]
from rnngraph.cli.app import main
main()
""")
    environment = {"TERM": "xterm-256color"}
    master, slave = pty.openpty()
    with TemporaryFile() as report:
        program = start("long.py", folder=tmp_path, environment=environment, stdout=report.fileno(), stderr=slave)
        os.close(slave)
        shown = everything(master)
        assert program.wait()[0] == 0
        report.seek(0)
        assert report.read().startswith(b"The gradient ")
    assert "recording the run: walking 32 losses back: step " in shown
    assert " of 1,500" in shown
    piped = run("long.py", folder=tmp_path, environment=environment)
    assert (piped.returncode, piped.stderr) == (0, "")


@pytest.mark.parametrize("columns", ["0", "-3", "wide"])
def test_a_width_that_is_none_does_not_swallow_the_report(columns: str, tmp_path: Path) -> None:
    piped = run("diagnose", "--hidden-size", "4", "--batch", "2", folder=tmp_path, environment={"COLUMNS": columns})
    assert piped.returncode == 0
    assert "Verdict: " in piped.stdout
    status, text, _ = run_in_terminal("diagnose", folder=tmp_path, width=60, COLUMNS=columns, NO_COLOR="1")
    assert status == 0
    plain = [line for line in text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines() if line]
    assert plain[0].startswith(("The gradient ", "It remembers: "))
    assert max(len(line) for line in plain) <= 80  # with its style codes


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "naive Uber ????|???|?|x0.5 | d 17# #.\n"),
        ("cp1252", "naïve Über ????|???|€|×0.5 | d 17# #.\n"),
        ("utf-8", "naïve Über 学习|где|€|×0.5 ‖ ∂ ▁▇█ █▎\n"),
    ],
)
def test_what_an_encoding_lacks_loses_its_accents_and_moves_no_column(encoding: str, shown: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding, SIMPLER)
    stream.write("naïve Über 学习|где|€|×0.5 ‖ ∂ ▁▇█ █▎\n")
    stream.flush()
    assert written.getvalue().decode(encoding) == shown


def test_a_path_reads_as_it_is_written_whatever_the_locale() -> None:
    path = os.fsdecode(b"caf\xc3\xa9").encode("utf-8").decode("ascii", "surrogateescape")
    assert one_line(f"wrote {path}") == "wrote café"
    assert one_line("wrote \udcff") == r"wrote \udcff"
