"""Run the command line for the tests of this folder: as a process, or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.cli import app
from tests import programs

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
COMMAND = (sys.executable, "-m", "rnngraph")


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a command."""

    status: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str, **options: Any) -> Said:
    """Run a process in a folder."""
    return run_measured(folder, *arguments, **options)[0]


def run_measured(folder: Path, *arguments: str, **options: Any) -> tuple[Said, int]:
    """Run a process; give also the bytes of memory that it took."""
    done = programs.run(*arguments, folder=folder, **options)
    return Said(done.returncode, done.stdout, done.stderr), done.memory


def run_in_full(folder: Path, *arguments: str, **options: Any) -> Said:
    """Run a process from the start of Python on, which takes ten times as long."""
    settings = {"capture_output": True, "env": ENVIRONMENT, "timeout": programs.PATIENCE, **options}
    done = subprocess.run([*COMMAND, *arguments], cwd=folder, check=False, **settings)
    return Said(done.returncode, _text(done.stdout), _text(done.stderr))


def run_here(*arguments: str) -> Said:
    """Run a command in this process, which is faster; the end of a process is not part of it."""
    buffers = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(buffer, "utf-8", "backslashreplace") for buffer in buffers)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = app.outcome(arguments)
    out.flush()
    err.flush()
    return Said(status, *(_text(buffer.getvalue()) for buffer in buffers))


def complaint(said: Said, status: int) -> str:
    """Give the one sentence with which a command ended, in the documented way."""
    assert said.status == status, said
    assert "Traceback" not in said.stderr
    *before, last = said.stderr.splitlines()
    assert not any(line.startswith("rnngraph: ") for line in before)
    assert last.startswith("rnngraph: ")
    return last.removeprefix("rnngraph: ")


def batch(folder: Path, **arrays: Any) -> Path:
    """Write the data of a checkpoint."""
    np.savez(folder / "d.npz", **(arrays or {"x": np.ones((1, 3, 2))}))
    return folder / "d.npz"


def sentences(said: Said) -> Sequence[str]:
    """Give the lines that begin as a complaint does."""
    return [line for line in said.stderr.splitlines() if line.startswith("rnngraph: ")]


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
