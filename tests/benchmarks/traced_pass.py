"""A traced forward and backward, everything measured, beside a loop written by hand and beside the bare products.

What is in the way where a goal is not reached, as shares of the loop's time on a machine that does nothing else:
(1, 100, 16, 32): the walk there and back is .32 of the tanh loop, and some 270 microseconds, .19, do not grow with the
steps: they take norms and make the trace. On a busy machine the loop, which repeats a few lines, loses less than that.
(32, 50, 64, 128): products alone are .55 (tanh), .60 (LSTM), .52 (GRU); the pass without measuring is .9 to 1. Of an
LSTM the norms of every step's part of the weights are .05, reading states and gradients .04, gates .05. A GRU computes
on about 190 microseconds a step beside its products while arrays are in the cache, and takes twice that, since those of
a window are not; smaller windows take longer still, as each costs as much to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import rnngraph as rg
from tests.benchmarks.plain_loops import LOOPS, products
from tests.benchmarks.row import Row, ratios

SIZES = ((1, 100, 16, 32), (32, 50, 64, 128), (50, 200, 256, 512), (1, 2000, 32, 64))
LAYERS = {"tanh": rg.nn.RNN, "lstm": rg.nn.LSTM, "gru": rg.nn.GRU}
ALONE, TOGETHER, PRODUCTS = 0.5, 1.05, 1.5  # goals: of one sample, of several, over the products


def pair(cell: str, size: tuple[int, int, int, int]) -> tuple[Callable[[], object], Callable[[], object]]:
    """Prepare the traced pass and the plain one of the same network."""
    batch, steps, width, hidden = size
    rng = np.random.default_rng(0)
    x, dh = rng.normal(size=(batch, steps, width)), rng.normal(size=(batch, steps, hidden))
    layer = LAYERS[cell](width, hidden)
    weights = tuple(layer.parameter(name).value for name in ("Wx", "Wh", "b", *(["bh"] if cell == "gru" else [])))

    def traced() -> rg.Trace:
        tape = rg.Tape()
        output = layer(tape.input(x))
        tape.starts = {output.id: dh}
        return rg.record(tape)

    return traced, lambda: LOOPS[cell](x, weights, dh)


def over_loop(cell: str, size: tuple[int, int, int, int]) -> list[float]:
    """Compare with the loop."""
    large = np.prod(size) > 1e8
    return ratios(*pair(cell, size), rounds=5 if large else 15, each=1 if large else 3)


def over_products(size: tuple[int, int, int, int]) -> list[float]:
    """Compare with the products."""
    return ratios(pair("tanh", size)[0], products(*size), rounds=5, each=3)


def rows() -> Iterator[Row]:
    """List the measurements."""
    for cell in LAYERS:
        for size in SIZES if cell == "tanh" else SIZES[:2]:
            goal = ALONE if size[0] == 1 else TOGETHER
            yield Row(f"traced pass / plain loop, {cell} {size}", goal, partial(over_loop, cell, size))
    for size in SIZES[2:]:
        yield Row(f"traced pass / bare products, tanh {size}", PRODUCTS, partial(over_products, size))
