"""Time the pictures: 1,000 and 5,000 steps drawn whole, 100,000 folded, and 30 steps beside torchviz if there is one.

Every measurement is a fresh process, as a person runs it, with its largest memory, and the median of three. Nothing
fails on a time. Run `python -m tests.benchmarks.pictures`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import rnngraph as rg
from tests.benchmarks.timing import median_time, one_thread

REPEATS = 3
DRAW = """
import resource, sys, time, rnngraph as rg
start = time.perf_counter()
rg.render(rg.Trace.load(sys.argv[1]), sys.argv[2], steps=sys.argv[3] or None)
own, children = (resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(time.perf_counter() - start, max(own, children))
"""
TORCHVIZ = """
import sys, time, torch, torchviz
cell, h = torch.nn.RNNCell(8, 16), torch.zeros(2, 16)
losses = []
for x in torch.randn(30, 2, 8):
    h = cell(x, h)
    losses.append(h.square().sum())
start = time.perf_counter()
torchviz.make_dot(sum(losses), params=dict(cell.named_parameters())).render(sys.argv[1], format="svg")
print(time.perf_counter() - start)
"""


def save_trace(path: Path, timesteps: int) -> None:
    """Trace a small network of some length."""
    tape = rg.Tape()
    x = tape.input(np.random.default_rng(0).normal(size=(2, timesteps, 8)))
    h = rg.nn.RNN(8, 16, seed=0)(x)
    rg.record((h * h).sum()).save(path)


def medians(code: str, *arguments: str) -> tuple[float, ...]:
    """Run a program some times; return the median seconds from start to end and of each number that it printed."""
    printed: list[list[float]] = []

    def run() -> None:
        done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
        printed.append([float(number) for number in done.stdout.split()])

    return median_time(run, REPEATS), *np.median(printed, axis=0).tolist()


def main() -> None:
    """Print seconds and MiB for every picture."""
    one_thread()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = 0.0
        for timesteps, steps in ((30, "all"), (1000, "all"), (5000, "all"), (100_000, "")):
            save_trace(folder / "run.npz", timesteps)
            seconds, drawing, memory = medians(DRAW, str(folder / "run.npz"), str(folder / "run.svg"), steps)
            own = own or drawing
            parts = f"{seconds:6.2f} s, of which {drawing:5.2f} s drawing, {memory:5.0f} MiB"
            print(f"T = {timesteps:>7,} {steps or 'folded':<6}  {parts}")
        try:
            _, other = medians(TORCHVIZ, str(folder / "torchviz"))
        except subprocess.CalledProcessError as error:
            print("no comparison with torchviz:", error.stderr.strip().rpartition("\n")[2])
        else:
            print(f"T =      30 torchviz with the dot engine, drawing alone: {other:.2f} s, ratio {own / other:.2f}")


if __name__ == "__main__":
    main()
