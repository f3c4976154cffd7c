"""The shape of the whole: what importing loads, who may import whom, and that the examples run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rnngraph"
# A folder may import itself and the folders named here; `errors`, `checks`, `files` and `archive` are everyone's.
MAY_IMPORT = {
    "errors": set(),
    "checks": set(),
    "files": set(),
    "archive": set(),
    "autodiff": set(),
    "nn": {"autodiff"},
    "trace": {"autodiff", "nn"},
    "sources": {"autodiff", "nn", "trace"},
    "diagnosis": {"trace"},
    "graph": {"trace"},
    "render": {"trace", "graph", "diagnosis"},
    "cli": {"autodiff", "nn", "trace", "sources", "diagnosis", "graph", "render"},
}
# Reports of the gradient check are data like a trace; the array type is everyone's.
DATA = {"rnngraph.autodiff.contribution", "rnngraph.autodiff.gradcheck_report", "rnngraph.autodiff.rules"}


def imported(path: Path) -> set[str]:
    """Find the modules of this package that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.startswith("rnngraph.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    allowed = MAY_IMPORT[room] | {room, "errors", "checks", "files", "archive"}
    wrong = {name for name in imported(path) if name.split(".")[1] not in allowed} - DATA
    assert not wrong, f"{path.name} imports {sorted(wrong)}"


def test_importing_the_package_loads_numpy_and_nothing_heavier() -> None:
    heavy = ("typer", "rich", "graphviz", "pygraphviz", "torch", "h5py", "safetensors", "click")
    code = f"import sys, rnngraph; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_public_names_exist() -> None:
    import rnngraph

    for name in ("record", "gradcheck", "spectrum", "diagnose", "assert_healthy", "render", "draw", "gradients"):
        assert callable(getattr(rnngraph, name)), name
        assert callable(getattr(rnngraph, name)), f"{name}, once its module is loaded"


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in PACKAGE.rglob("*.py") if (lines := length(path)) > 240}
    assert not long


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


EXAMPLES = {"caption_digits.py": ["20"]}


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run_and_are_short(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert length(path) <= 80
    if re.search(r"^import torch|^from torch", text, re.MULTILINE):
        pytest.importorskip("torch")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    if "torch" in text:  # PyTorch itself warns on import in some versions
        del environment["PYTHONWARNINGS"]
    arguments = EXAMPLES.get(path.name, [])
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
