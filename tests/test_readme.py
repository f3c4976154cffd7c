"""The README is kept: its first program runs as it stands, and its table of commands is the one that is registered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_group

from rnngraph.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_program_draws_judges_and_saves(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert program is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program[1]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "unrolled.svg").read_text(encoding="utf-8")
    assert (tmp_path / "run.npz").exists()
    assert "vanishing" in done.stdout  # what the default tanh layer does, as the table of verdicts has it


def test_the_transcript_is_what_a_terminal_of_80_characters_shows(tmp_path: Path) -> None:
    transcript = re.search(r"```console\n\$ rnngraph (.*?)\n(.*?)```", README, re.DOTALL)
    assert transcript is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rnngraph", *transcript[1].split()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert done.stdout == transcript[2]


def test_the_table_names_every_command() -> None:
    named = re.findall(r"^\| `rnngraph (\w+)", README, re.MULTILINE)
    assert named == list(get_group(app).commands)
