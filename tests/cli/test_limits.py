"""Numbers that no machine can serve, names that no file can have, and readers that leave: a sentence, a status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rnngraph

LONG = "a" * 300
WRONG: dict[str, tuple[list[str], int, str]] = {
    "units": (["norms", "--hidden-size", "99999999999999999999"], 2, "99999999999999999999"),
    "layers": (["norms", "--layers", "99999999999999999999"], 2, "99999999999999999999"),
    "timesteps": (["norms", "--timesteps", "99999999999999999999"], 2, "99999999999999999999"),
    "memory": (["norms", "--hidden-size", "1000000"], 2, "1000000 units"),
    "directions": (["check", "--directions", "999999999999"], 2, "999999999999"),
    "a picture's name": (["render", "-o", LONG + ".svg"], 3, "too long"),
    "a run's name": (["trace", "-o", LONG + ".npz"], 3, "too long"),
    "a source's name": (["norms", LONG + ".npz"], 3, "too long"),
}


# The tree under test need not be installed, and the command is run in another folder.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(rnngraph.__file__).parents[1])}


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnngraph", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_before_any_work(case: str, tmp_path: Path) -> None:
    arguments, status, value = WRONG[case]
    finished = run(arguments, tmp_path)
    assert finished.returncode == status
    assert value in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only where the system has a full device")
@pytest.mark.parametrize("arguments", [["norms"], ["norms", "--json"], ["render", "-o", "-"]])
def test_a_full_disk_behind_stdout_is_said_in_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnngraph", *arguments]
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            command,
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert finished.returncode == 3
    assert "No space left" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnngraph", "norms", "--timesteps", "900", "--steps", "all", "--batch", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 0
