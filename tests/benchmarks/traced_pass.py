"""Time a traced forward and backward against a plain hand-written NumPy loop with no tape, in one run.

Prints a ratio a size; nothing fails on a time. Run `python -m tests.benchmarks.traced_pass`.
"""

from __future__ import annotations

import statistics

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg
from tests.benchmarks.timing import median_time, one_thread

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


def ratios(size: tuple[int, int, int, int]) -> list[float]:
    """Time both in turn, round after round, and give traced / plain of each."""
    batch, steps, width, hidden = size
    generator = np.random.default_rng(0)
    x, h0 = generator.normal(size=(batch, steps, width)), np.zeros((batch, hidden))
    dh = generator.normal(size=(batch, steps, hidden))
    layer = rg.nn.RNN(width, hidden)
    wx, wh, b = (layer.parameter(name).value for name in ("Wx", "Wh", "b"))
    found = []
    for _ in range(5 if batch * steps * hidden > 1e6 else 15):
        ours = median_time(lambda: traced(x, h0, layer, dh), 3)
        found.append(ours / median_time(lambda: plain(x, h0, (wx, wh, b), dh), 3))
    return found


def main() -> None:
    """Print the table."""
    one_thread()
    print("   N     T    D    H   traced / plain   (medians over interleaved rounds)")
    for size in SIZES:
        found = ratios(size)
        batch, steps, width, hidden = size
        spread = f"{min(found):.2f}-{max(found):.2f}"
        print(f"{batch:4} {steps:5} {width:4} {hidden:4}   {statistics.median(found):14.2f}   {spread}")


if __name__ == "__main__":
    main()
