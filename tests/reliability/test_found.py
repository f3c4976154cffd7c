"""What the search has found, kept: each folder holds files and the command that they once broke."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.reliability.commands import run

FOUND = sorted(path for path in (Path(__file__).parent / "found").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOUND, ids=lambda path: path.name)
def test_it_no_longer_breaks(folder: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(folder, tmp_path / "here"))
    said = run(here, *json.loads((here / "command.json").read_text(encoding="utf-8"))["arguments"])
    if said.status == 4 and find_spec("torch") is None:
        pytest.skip("the file is read with PyTorch")
    assert said.status in (0, 1, 2, 3), said.stderr
    assert "Traceback" not in said.stderr
