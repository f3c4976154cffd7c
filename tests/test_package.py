"""The shape of the whole: what importing loads, who may import whom, and that the examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import rnngraph
from tests.programs import run

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rnngraph"
# A folder may import itself and the folders named here, and everything may import these.
EVERYONES = {"errors", "checks", "nearest", "progress", "display", "files", "archive", "norms"}
MAY_IMPORT: dict[str, set[str]] = {
    "autodiff": set(),
    "nn": {"autodiff", "numpy"},
    "numpy": {"autodiff"},
    "gradcheck": {"autodiff", "numpy"},
    "trace": set(),
    "measure": {"trace"},
    "sources": {"autodiff", "gradcheck", "nn", "numpy", "trace", "measure"},
    "diagnosis": {"trace"},
    "history": {"trace", "diagnosis"},
    "graph": {"trace", "diagnosis"},
    "render": {"trace", "graph", "diagnosis", "history"},
    "monitor": {"trace", "measure", "sources", "diagnosis"},
    "torch": {"sources", "monitor"},
    "jax": {"sources"},
    "integrations": {"torch"},
    "cli": {
        "autodiff",
        "gradcheck",
        "nn",
        "numpy",
        "trace",
        "measure",
        "sources",
        "diagnosis",
        "history",
        "graph",
        "render",
    },
}
# The facts of a cell and the reports of the gradient check are data like a trace; the array type is everyone's.
DATA = {
    "rnngraph.autodiff.contribution",
    "rnngraph.gradcheck.report",
    "rnngraph.trace.cell",
}
RECORDS_FIRST = {  # render(loss, path) and diagnose(loss)
    "save.py": {"rnngraph.sources.tape.record", "rnngraph.measure.lag_options"},
    "diagnose.py": {"rnngraph.sources.tape.record"},
}
MODULE = re.compile(r"rnngraph(\.[a-z_]+)+")


@cache
def imported(path: Path) -> set[str]:
    """Find the modules of this package that a file imports, also inside functions and by a name in quotes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            inside = {f"rnngraph.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
            found |= inside if node.module == "rnngraph" else {node.module}
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            found.add(node.value)
    return {name for name in found if name.startswith("rnngraph.")}


def test_imports_go_one_way() -> None:
    wrong = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        allowed = MAY_IMPORT.get(room, set()) | EVERYONES | {room}
        wrong[str(path.relative_to(PACKAGE))] = (
            {name for name in imported(path) if name.split(".")[1] not in allowed}
            - DATA
            - RECORDS_FIRST.get(path.name, set())
        )
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


HEAVY = ("typer", "rich", "graphviz", "pygraphviz", "torch", "jax", "h5py", "safetensors", "click")


def printed(code: str) -> str:
    """Run code in a Python of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_importing_the_package_loads_numpy_and_nothing_heavier() -> None:
    # Nor do recording and a verdict: only what draws or prints needs more.
    use = "h = rnngraph.nn.RNN(2, 3)(rnngraph.Tape().input([[[1.0, 2.0]] * 9])); "
    use += "rnngraph.diagnose(rnngraph.record((h[:, 8] * 1.0).sum(), lags=True)); "
    for code in ("", use):
        assert printed(f"import sys, rnngraph; {code}print([n for n in {HEAVY} if n in sys.modules])") == "[]\n"


def test_the_help_of_the_whole_loads_no_model_and_no_panels() -> None:
    code = """
import sys
from rnngraph.cli.app import app
try:
    app(["--help"], prog_name="rnngraph")
finally:
    print([name for name in ("numpy", "rnngraph.sources", "rnngraph.nn", "typer.rich_utils") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    assert "..." not in done.stdout.partition("Commands:")[2]  # a sentence that was cut off


def test_the_public_surface() -> None:
    code = "import rnngraph; print([n for n in dir(rnngraph) if not n.startswith('__')] == sorted(rnngraph.__all__))"
    assert printed(code) == "True\n"
    declared = {
        alias.name
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rnngraph")
        for alias in node.names
    }
    assert declared == set(rnngraph.__all__)
    for name in rnngraph.__all__:
        if name in ("jax", "torch") and getattr(find_spec(name), "origin", None) is None:  # not installed
            with pytest.raises(rnngraph.MissingToolError, match=f"rnngraph.{name}"):
                getattr(rnngraph, name)
            continue
        assert getattr(rnngraph, name) is getattr(rnngraph, name), name  # also once its module is loaded
        assert name in ("integrations", "jax", "nn", "torch") or callable(getattr(rnngraph, name)), name
    errors = {name for name, value in vars(rnngraph.errors).items() if isinstance(value, type)}
    assert errors <= set(rnngraph.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rnngraph.nothing  # noqa: B018


@pytest.mark.parametrize("room", ["diagnosis", "history", "cli"])
def test_no_module_asks_which_cell_it_is(room: str) -> None:
    cells = {"rnn", "tanh", "relu", "lstm", "gru", "custom"}
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Constant) and node.value in cells), f"{path.name}:{node.lineno}"
            compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            assert not [one for one in compared if isinstance(one, ast.Attribute) and one.attr == "cell"], path.name


@pytest.mark.parametrize("room", ["diagnosis", "history", "cli"])
def test_no_modules_import_each_other_in_a_circle(room: str) -> None:
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (PACKAGE / room).rglob("*.py")}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    left = {name: imported(path) & paths.keys() - {name} for name, path in paths.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in PACKAGE.rglob("*.py") if (lines := length(path)) > 250}
    assert not long


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


# What makes the trainings among them short enough for a test.
SHORTER = {
    "caption_digits.py": ("else 600", "else 5"),
    "decay_bad_start.py": ("4, 24, 100", "4, 24, 10"),
    "repair_exploding.py": ("1.0, 200", "1.0, 20"),
    "repair_vanishing.py": ("steps: int = 60", "steps: int = 10"),
    "torch_attention.py": ("range(60)", "range(6)"),
    "torch_language_model.py": ("step % 60 == 0", "step % 6 == 0 and step < 7"),
    "torch_monitor.py": ("32, 151", "32, 26"),
    "two_trainings.py": ("4, 33, 97", "4, 5, 13"),  # the page on trainings takes all its steps
}


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run_and_are_short(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert length(path) <= 80
    for needed in re.findall(r"^(?:import|from) (torch|sb3_contrib|jax|flax)", text, re.MULTILINE):
        pytest.importorskip(needed)
    # PyTorch and Flax warn on import themselves in some versions.
    warnings = "default" if "torch" in text or "flax" in text else "error"
    loaded = "torch" if "torch" in text else ""
    long, short = SHORTER.get(path.name, ("", ""))
    assert long in text
    (tmp_path / path.name).write_text(text.replace(long, short) if long else text, encoding="utf-8")
    done = run(path.name, folder=tmp_path, warnings=warnings, loaded=loaded)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_version_is_that_of_the_changelog_and_the_citation() -> None:
    assert f"\nversion: {rnngraph.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {rnngraph.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_name_stands_three_times() -> None:
    count = Counter(file.name for file in PACKAGE.rglob("*.py") if not file.name.startswith("__"))
    assert {name: times for name, times in count.items() if times >= 3} == {}
