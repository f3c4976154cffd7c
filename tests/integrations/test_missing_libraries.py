"""Without its library a callback cannot be imported, and says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import run

pytest.importorskip("torch")

INSTALLS = {
    "lightning": "Lightning is not installed; pip install lightning brings it.",
    "transformers": "Transformers is not installed; pip install 'transformers[torch]' brings it.",
    "stable_baselines3": "Stable-Baselines3 is not installed; pip install sb3-contrib brings it.",
}


def test_the_import_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"""
import importlib, sys
from rnngraph.errors import MissingToolError
for name in {list(INSTALLS)}:
    sys.modules[name] = None  # as if it were not there
    try:
        importlib.import_module(f"rnngraph.integrations.{{name}}")
    except MissingToolError as error:
        print(error)
""")
    done = run("a.py", folder=tmp_path, loaded="torch")
    assert done.stdout.splitlines() == list(INSTALLS.values())


def test_the_monitor_needs_pytorch(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("""
import sys
sys.modules["torch"] = None
import rnngraph
try:
    rnngraph.torch.monitor
except rnngraph.MissingToolError as error:
    print(error)
""")
    done = run("a.py", folder=tmp_path)
    assert done.stdout.strip() == "PyTorch is not installed; pip install 'rnngraph[torch]' brings it."
