"""What tracing a hand-written function costs: times of the plain function, memory in the length, lags of a long LSTM.

Run it alone on a quiet machine: `python -m tests.benchmarks.trace_function`. CPU time of one thread.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import rnngraph as rg
import rnngraph.numpy as recording
from rnngraph.numpy.run import Call
from rnngraph.numpy.tape import ArrayTape
from tests.numpy.plain_networks import course_lstm, course_rnn


def draw(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape) / np.sqrt(shape[-1])


def best(function: Callable[[], Any], repeats: int = 7) -> float:
    """Give the least CPU time of some runs, in seconds."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        found.append(time.process_time() - started)
    return min(found)


def rnn(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return np.sum(course_rnn(x, h0, Wx, Wh, b)[0] ** 2)


def arrays(n: int, time: int, size: int, gates: int = 1) -> tuple[Any, ...]:
    return (
        draw(n, time, 16),
        np.zeros((n, size)),
        draw(16, gates * size),
        draw(size, gates * size),
        np.zeros(gates * size),
    )


def ratios(n: int) -> None:
    """Compare recording, and tracing with its check, with the plain function at T = 100, H = 32."""
    given = arrays(n, 100, 32)

    def record() -> None:
        tape = ArrayTape()
        Call(rnn, given, {}).run(lambda array, name: tape.input(array.copy(), name), recording)

    runs = {"plain": lambda: rnn(*given), "recorded": record, "traced": lambda: rg.trace_function(rnn, *given)}
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(12):  # by turns, so that what else the machine does meets all of them
        for name, run in runs.items():
            took[name].append(best(run, 3))  # the least, so that a plain run finds its caches warm
    plain, recorded, traced = (median(times) for times in took.values())
    print(
        f"RNN, T = 100, H = 32, batch {n}: plain {1e3 * plain:.2f} ms; recording {recorded / plain:.1f} times "
        f"(goal 8); traced and checked {traced / plain:.1f} times (goal 20)"
    )


def memory(time: int) -> None:
    """Measure the peak of tracing a long sequence with item assignment."""
    given = arrays(1, time, 32)
    tracemalloc.start()
    rg.trace_function(rnn, *given, check=False)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"item assignment, T = {time}: {peak:.0f} MB (goal 500 at T = 10,000)")


def lags(n: int, losses: Any) -> None:
    """Measure the lag matrix of a hand-written LSTM with masks in its sigmoid."""
    traced = rg.trace_function(lambda *given: np.sum(course_lstm(*given) ** 2), *arrays(n, 1000, 32, 4))
    took = best(lambda: rg.record(traced, lags=rg.LagOptions(losses=losses)), 1)
    print(f"lags of an LSTM, T = 1,000, H = 32, batch {n}, losses {losses}: {took:.1f} s (goal 5)")


def main() -> int:
    """Run everything."""
    for n in (1, 16, 64):
        ratios(n)
    for length in (1_000, 10_000):
        memory(length)
    lags(4, 32)
    lags(1, "all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
