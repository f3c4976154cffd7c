"""Numbers that no machine can serve, names that no file can have, and readers that leave: a sentence, a status."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.programs import run, start

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


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_before_any_work(case: str, tmp_path: Path) -> None:
    arguments, status, value = WRONG[case]
    finished = run(*arguments, folder=tmp_path)
    assert finished.returncode == status
    assert value in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only where the system has a full device")
@pytest.mark.parametrize("arguments", [["norms"], ["norms", "--json"], ["render", "-o", "-"]])
def test_a_full_disk_behind_stdout_is_said_in_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        finished = run(*arguments, folder=tmp_path, stdout=full.fileno())
    assert finished.returncode == 3
    assert "No space left" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    arguments = ("norms", "--timesteps", "900", "--steps", "all", "--batch", "1", "--hidden-size", "2")
    reading, writing = os.pipe()
    with TemporaryFile() as errors, os.fdopen(reading) as report:
        program = start(*arguments, folder=tmp_path, stdout=writing, stderr=errors.fileno())
        os.close(writing)
        report.readline()
        report.close()
        status, _ = program.wait()
        errors.seek(0)
        assert (status, errors.read()) == (0, b"")
