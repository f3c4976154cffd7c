"""What a person runs: the help, a picture of a thousand steps, a run of a million steps; each in a fresh process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.benchmarks.row import Row

REPEATS = 5
IMPORTS = "import typer, rich.console, numpy"
# Runs a command, then prints its processor seconds and its largest memory in MiB.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
MILLION = """
import sys, numpy as np, rnngraph as rg
x = np.random.default_rng(0).normal(size=(1, 1_000_000, 2))
h = rg.nn.RNN(2, 2, seed=0)(rg.Tape().input(x))
rg.record((h * h).sum(), lags=True).save(sys.argv[1])
rg.diagnose(rg.Trace.load(sys.argv[1]))
"""


def cost(*command: str) -> tuple[float, float]:
    """Run a command; give its processor seconds and its largest memory in MiB, children included."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True)
    used, memory = map(float, done.stdout.split())
    return used, memory


def help_over_imports() -> list[float]:
    """Compare the help with importing what it is made of."""
    found = []
    for _ in range(REPEATS):
        ours, _ = cost(sys.executable, "-m", "rnngraph", "--help")
        found.append(ours / cost(sys.executable, "-c", IMPORTS)[0])
    return found


def render_seconds() -> list[float]:
    """Draw a thousand steps of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        drawing = ("render", "--timesteps", "1000", "-o", str(Path(folder) / "run.svg"))
        return [cost(sys.executable, "-m", "rnngraph", *drawing)[0] for _ in range(3)]


@cache
def _million() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        return cost(sys.executable, "-c", MILLION, str(Path(folder) / "run.npz"))


def million_seconds() -> list[float]:
    """Run, record with lags, save, load and diagnose a million steps."""
    return [_million()[0]]


def million_memory() -> list[float]:
    """Give the largest memory of the same run."""
    return [_million()[1]]


def rows() -> Iterator[Row]:
    """List the measurements."""
    million = "T = 1,000,000, H = 2: forward, record with lags, save, load, diagnose"
    yield Row(million, 40, million_seconds, "CPU s")
    yield Row(f"{million}; largest memory", 1024, million_memory, "MiB")
    yield Row("rnngraph --help / importing typer, rich and numpy", 1.3, help_over_imports)
    yield Row("rnngraph render --timesteps 1000, start to end", 3, render_seconds, "CPU s")
