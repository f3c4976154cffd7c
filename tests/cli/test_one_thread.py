"""The command line asks BLAS for one thread before NumPy is loaded, unless the environment says how many."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOWN = """
import os, sys
import rnngraph.__main__ as command
assert "numpy" not in sys.modules
import rnngraph.cli.app as app
app.main = lambda: print(os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("OMP_NUM_THREADS"))
command.start()
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "1 None"), ({"OPENBLAS_NUM_THREADS": "3"}, "3 None"), ({"OMP_NUM_THREADS": "4"}, "None 4")],
)
def test_threads(given: dict[str, str], found: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    shown = subprocess.run([sys.executable, "-c", SHOWN], env=plain | given, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == found
