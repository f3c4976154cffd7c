"""Time a traced forward and backward against a plain hand-written NumPy loop with no tape, in one run.

Prints a ratio a size; nothing fails on a time. Run `python tests/benchmarks/traced_pass.py`.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg

SIZES = ((1, 100, 16, 32), (32, 50, 64, 128), (50, 200, 256, 512), (1, 2000, 32, 64))
Array = NDArray[np.float64]


def plain(x: Array, h0: Array, weights: tuple[Array, Array, Array], dh: Array) -> tuple[Array, ...]:
    """Run a vanilla RNN forward and backward step by step, as in a hand-written model."""
    wx, wh, b = weights
    batch, steps, _ = x.shape
    h = np.empty((batch, steps, wh.shape[0]))
    caches = []
    prev = h0
    for t in range(steps):
        following = np.tanh(x[:, t] @ wx + prev @ wh + b)
        caches.append((x[:, t], prev, following))
        h[:, t] = prev = following
    dx, dwx, dwh, db = np.empty_like(x), np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    dprev = np.zeros_like(h0)
    for t in range(steps - 1, -1, -1):
        xt, before, after = caches[t]
        da = (dh[:, t] + dprev) * (1 - after**2)
        dx[:, t] = da @ wx.T
        dprev = da @ wh.T
        dwx += xt.T @ da
        dwh += before.T @ da
        db += da.sum(axis=0)
    return dx, dprev, dwx, dwh, db


def traced(x: Array, h0: Array, layer: rg.nn.RNN, dh: Array) -> rg.Trace:
    """Run the same on a tape and measure everything that a trace holds."""
    tape = rg.Tape()
    output = layer(tape.input(x), h0)
    tape.starts = {output.id: dh}
    return rg.record(tape)


def median(function: Callable[[], object], repeats: int) -> float:
    """Give the median time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    print("   N     T    D    H   traced / plain   (medians over interleaved rounds)")
    for batch, steps, width, hidden in SIZES:
        generator = np.random.default_rng(0)
        x, h0 = generator.normal(size=(batch, steps, width)), np.zeros((batch, hidden))
        dh = generator.normal(size=(batch, steps, hidden))
        layer = rg.nn.RNN(width, hidden)
        weights = tuple(layer.parameter(name).value for name in ("Wx", "Wh", "b"))
        rounds = 5 if batch * steps * hidden > 1e6 else 15
        ratios = []
        for _ in range(rounds):
            ours = median(lambda: traced(x, h0, layer, dh), 3)
            theirs = median(lambda: plain(x, h0, (weights[0], weights[1], weights[2]), dh), 3)
            ratios.append(ours / theirs)
        print(f"{batch:4} {steps:5} {width:4} {hidden:4}   {statistics.median(ratios):14.2f}   {min(ratios):.2f}-{max(ratios):.2f}")


if __name__ == "__main__":
    main()
