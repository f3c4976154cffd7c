"""What a monitor costs a training of an LSTM, (N, T, D, H, layers) = (32, 128, 128, 256, 2), with everything measured.

The whole training is not timed twice: on a busy machine that tells nothing about some percent. Measured steps and those
between take turns, and so do a step's few microseconds of hooks; what `every=100` costs is their sum.
"""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tests.benchmarks.row import Row
from tests.benchmarks.torch_watch import model_of

SIZES, REPEATS, EVERY, MANY = (32, 128, 128, 256, 2), 5, 100, 2000


def rows() -> Iterator[Row]:
    """Give the rows; one process measures them all."""
    training = "LSTM (32, 128, 128, 256, 2) in PyTorch"
    yield Row(f"{training}: a step that is measured, in plain steps", 8.0, lambda: _found("measured"))
    yield Row(f"{training}: monitored at every=100, over a training without", 1.05, lambda: _found("every"))
    yield Row(f"{training}: largest memory, in that of a plain step", 2.0, lambda: _found("memory"))


def _found(name: str) -> list[float]:
    return _in_process().get(name, [math.nan])


@cache
def _in_process() -> dict[str, list[float]]:
    try:
        import torch  # noqa: F401
    except ImportError:
        return {}
    command = [sys.executable, "-m", "tests.benchmarks.torch_monitor"]
    found: dict[str, list[float]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def _seconds(do: Callable[[], object]) -> float:
    start = time.process_time()
    do()
    return time.process_time() - start


def _peak() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _step_of(model: Any, x: Any) -> Callable[[], None]:
    import torch

    optimiser = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()

    return step


def measure() -> dict[str, list[float]]:
    """Give the values of every row, one a round."""
    import torch

    import rnngraph

    model, x = model_of("fused", SIZES)
    step = _step_of(model, x)
    step(), step()
    plain_peak = _peak()
    with tempfile.TemporaryDirectory() as folder, rnngraph.torch.monitor(model, 2, folder) as monitor:
        step(), step()  # what is imported on first use is not what is compared
        pairs = [(_seconds(step), _seconds(step)) for _ in range(REPEATS)]
        assert (len(monitor.files), monitor.notes) == (REPEATS + 1, [])
    memory = _peak() / plain_peak
    small = torch.nn.GRU(2, 2)
    optimiser = torch.optim.SGD(small.parameters(), lr=0.0)

    def many() -> None:
        for _ in range(MANY):
            optimiser.step()

    alone = min(_seconds(many) for _ in range(REPEATS))
    with rnngraph.torch.monitor(small, 10**9, log=lambda values, number: None):
        small(torch.randn(3, 1, 2))[0].sum().backward()
        optimiser.step()  # the first step is measured
        hooked = min(_seconds(many) for _ in range(REPEATS))
    hooks = max(hooked - alone, 0.0) / MANY
    plain = statistics.median(between for _, between in pairs)
    measured = [one / between for one, between in pairs]
    return {
        "measured": measured,
        "every": [1 + (one - 1) / EVERY + hooks / plain for one in measured],
        "memory": [memory],
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
