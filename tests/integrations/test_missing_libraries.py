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


def test_who_names_one_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"""
import sys, rnngraph
for name in {list(INSTALLS)}:
    sys.modules[name] = None  # as if it were not there
    try:
        getattr(rnngraph.integrations, name)
    except rnngraph.MissingToolError as error:
        print(error)
print(hasattr(rnngraph.integrations, "keras"))
""")
    done = run("a.py", folder=tmp_path, loaded="torch")
    assert done.stdout.splitlines() == [*INSTALLS.values(), "False"]


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
