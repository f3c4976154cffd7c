"""What the benchmarks share: the median time of a call, and a process whose BLAS runs in one thread."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def median_time(function: Callable[[], object], repeats: int) -> float:
    """Give the median of the processor time of some calls, in seconds: a busy machine does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def one_thread() -> None:
    """Start the process again with one BLAS thread, unless it has one already; BLAS reads this when it is loaded."""
    single = dict.fromkeys(THREADS, "1")
    if os.environ | single != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | single)


def threads() -> str:
    """Say how many threads BLAS may use: what the environment asks for, else one a core."""
    asked = next((os.environ[name] for name in THREADS if name in os.environ), None)
    return f"{asked or os.cpu_count()} BLAS thread{'' if asked == '1' else 's'}"
