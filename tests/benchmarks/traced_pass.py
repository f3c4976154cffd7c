"""A traced forward and backward, everything measured, beside a loop written by hand and beside the bare products.

What is in the way where a goal is not reached:
(1, 100, 16, 32): a third of the tanh pass are steps there and back; the rest are some 1,200 calls that do not grow with
the steps, each of which runs once and finds its code out of the cache: no single one is more than a fiftieth. The pass
has a third of the loop's instructions, and three in five of its own are steps. A busy
machine makes that worse, and leaves the loop, which repeats a few lines, alone. The columns of the graph are not among
them: they are made when somebody looks at one, or saves the trace.
(32, 50, 64, 128): products alone are .6 (tanh), .7 (LSTM), .7 (GRU); the pass without measuring is .83, .94, 1.06.
Products run as fast as the machine multiplies large matrices. Of the loop's time, norms of an LSTM's weights' parts at
every step are .05, whose products are no more than the sizes ask for; those at its gates' values .05, and what the
gates are like .04; the factors of its steps, and of a GRU's, .05. What is worked on is no more than 5 % faster where it
is in the cache, so smaller windows do not help; rows of a gate are 128 numbers with gaps between, which NumPy copies
to work on them, and is half as fast: one copy for all of their uses saves nothing.

Every row is measured in a process of its own, both sides in turn, and what is above in one whose heap is warm. The pass
keeps its memory and has no page faults. The loop has 3,700 a call of an LSTM or a GRU and 700 of tanh, also where
nothing else is loaded: glibc gives the memory of its steps back and asks for it anew, a fifth of its time. That ends
where a process has let go of any larger array, as rows before do; beside such a loop an LSTM reads 1.15, a GRU 1.26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import rnngraph as rg
from tests.benchmarks.plain_loops import LOOPS, products
from tests.benchmarks.row import Row, alone, ratios

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
            yield Row(f"traced pass / plain loop, {cell} {size}", goal, partial(alone, over_loop, cell, size))
    for size in SIZES[2:]:
        yield Row(f"traced pass / bare products, tanh {size}", PRODUCTS, partial(alone, over_products, size))
