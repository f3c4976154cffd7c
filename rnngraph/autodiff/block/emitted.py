"""What a window of a block hands to its input, a row a loss: gathered, or only its norms.

In: runs of gradients of x·Wx + b. Out: cotangents of every band that occurs, or logs of norms that are told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block.careful import highest
from rnngraph.autodiff.block.carry import LOG_BAND, by_band
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.cell import product
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.norms import row_norms

Tell: TypeAlias = Callable[[int, int, Array], None]  # (first timestep, first row, logs of norms (steps, rows, N))


class Emitted:
    """What one window hands on; with `tell`, only the norms of it."""

    def __init__(
        self, block: Block, window: tuple[int, int], shape: tuple[int, int], most: int, tell: Tell | None
    ) -> None:
        """Start with nothing; `shape` is (rows, N), and `most` the most steps that come at once."""
        self.block, self.window, self.tell = block, window, tell
        self.weight = np.ascontiguousarray(block.weights["Wx"].T, np.float64)
        self.width = self.weight.shape[1]
        self.space = np.empty(most * math.prod(shape) * self.width)
        self.rows = np.zeros((0 if tell else window[1] - window[0], *shape, self.width))
        self.bands: Array | None = None
        self.low, self.high = shape[0], 0

    def add_carefully(self, p: int, low: int, to_gates: Array, band: Array | None) -> None:
        """Add what gradients of x·Wx + b become, lifted where that leaves them numbers."""
        lift, (found,) = highest(lambda part: [self.product(part)], to_gates)
        if lift:
            band = (0 if band is None else band) + np.full(to_gates.shape[1:3], lift)
        self.add(p, low, found, band)

    def add(self, p: int, low: int, found: Array, band: Array | None) -> None:
        """Add gradients (steps, rows, N, D) of places from p on; `band` is that of every row and sample."""
        steps, high = slice(p, p + len(found)), low + found.shape[1]
        if self.tell is not None:
            logs = np.log(row_norms(found))
            if band is not None:
                logs += band * LOG_BAND
            times = self.block.times(self.window[0] + p, self.window[0] + steps.stop)
            self.tell(times.start, low, self.block.order(logs))
            return
        self.rows[steps, low:high] = found
        self.low, self.high = min(low, self.low), max(high, self.high)
        if band is not None:
            if self.bands is None:
                self.bands = np.zeros(self.rows.shape[:3], np.int64)
            self.bands[steps, low:high] = band

    def product(self, to_gates: Array) -> Array:
        """Turn gradients of x·Wx + b, (steps, rows, N, ·), into those of x, which are lent until the next."""
        shape = *to_gates.shape[:-1], self.width
        found = self.space[: math.prod(shape)].reshape(shape)
        product(to_gates, self.weight, found)
        return found

    def cotangents(self) -> Iterator[Cotangents]:
        """Give those of the input, of one band after the other."""
        if self.low >= self.high:
            return
        run, first = slice(self.low, self.high), self.block.times(*self.window).start
        by_time, bands = (None if one is None else self.block.order(one)[:, run] for one in (self.rows, self.bands))
        assert by_time is not None
        for band, rows in by_band(by_time, bands):
            by_row = rows.transpose(1, 2, 0, 3)
            yield Cotangents(by_row, self.low, len(by_row), band, True, first, self.block.id)
