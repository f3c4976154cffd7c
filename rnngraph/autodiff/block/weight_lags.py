"""The gradients of a block's weights by lag: what comes from losses that are at least so many steps away.

In: gradients of the states, a row a loss, as a walk takes them. Out: ln of `‖Σ dW of lags ≥ τ‖` over all weights of the
block. A lag counts steps that were taken, from where a loss first arrives. A step back is linear: rows of about one lag
are added up first, and what the weights get is made of the sums, so that this costs a few rows a step, not one a loss.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnngraph.autodiff.block.carry import BAND, LOG_BAND
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.norms import Floats, norm

Integers: TypeAlias = NDArray[np.int64]

_BESIDE = 2  # bands below the highest of the same lag; what is further down does not change a float64
_BYTES = 8_000_000  # of the sums of some steps, which wait for their products


class WeightLags:
    """Sums of one block's weights, for losses that are walked back in one piece or in several."""

    def __init__(self, block: Block, samples: Any, *, among: Any = None, fixed: Collection[str] = ()) -> None:
        """Begin with nothing.

        Args:
            block: whose weights.
            samples: those that are summed.
            among: where they are among those that are walked, by default all.
            fixed: weights that are none.
        """
        self.block, self.samples, self._among, self._fixed, self._ignored = block, samples, among, fixed, 0
        taken = np.ones((block.steps, block.sample_count), bool) if block.keep is None else block.order(block.keep)
        self.taken = np.cumsum(taken[:, samples], axis=0)  # (places, N)
        self.lags: Integers = np.array([0, *(1 << np.arange(max(block.steps - 1, 0).bit_length()))])
        self.known = True  # whether every step could be added
        self._sums: list[dict[tuple[str, int], Array]] = [{} for _ in self.lags]  # (weight, band), by the shortest lag
        self.weight = np.ascontiguousarray(block.weights["Wh"].T, np.float64)
        count, width = self.taken.shape[1], 2 * (block.gates.shape[-1] + block.outputs.shape[-1])
        self._chunk = int(np.clip(_BYTES // (8 * count * width * len(self.lags)), 1, block.steps))
        self._tops: dict[int, int] = {}  # the highest band of each lag
        self._waiting: dict[tuple[int, int], list[Array]] = {}  # (lag, band) -> sums, see `_totals`
        self._first = block.steps
        self._born: Integers = np.empty((0, count), np.int64)

    def begin(self, rows: int, *, ignored: int = 0) -> None:
        """Begin with other losses, of which the first are `ignored`."""
        self.finish()
        self._ignored = ignored
        self._born = np.full((rows, self.taken.shape[1]), -1)

    def add(self, place: int, low: int, states: list[Array], band: Array | None) -> None:
        """Add steps from a place on, the last ones first.

        Args:
            place: the first of them.
            low: the first of the rows.
            states: the gradients of the states behind each step, h first, (steps, rows, N, ·).
            band: the band of every row and sample.
        """
        first = max(self._ignored - low, 0)
        some = slice(None) if self._among is None else self._among
        if first < states[0].shape[1]:
            own = [one[:, first:, some] for one in states]
            self._add(place, low + first, own, None if band is None else band[first:, some])

    def _add(self, place: int, low: int, states: list[Array], band: Array | None) -> None:
        stop = place + len(states[0])
        if stop <= self._first - self._chunk or not self._waiting:
            self.finish()
            self._first = stop
        bound = max(place, self._first - self._chunk)
        if bound > place:  # what lies before is for the next chunk
            for steps, start in ((slice(bound - place, None), bound), (slice(bound - place), place)):
                self._add(start, low, [one[steps] for one in states], band)
            return
        lag = self._lag(place, low, states)
        number = np.searchsorted(self.lags, lag, side="right") - 1
        lowest, highest = (0, 0) if band is None else (int(band.min()), int(band.max()))
        bands = 0 if band is None else band - lowest
        kinds = number * (highest - lowest + 1) + bands  # of lag and band, as one number
        at = slice(self._chunk - (self._first - place), self._chunk - (self._first - stop))
        for kind in reversed(np.unique(kinds).tolist()):
            which, power = divmod(kind, highest - lowest + 1)
            band_here = lowest + power
            top = self._tops.get(which, band_here)
            if band_here < top - _BESIDE:
                continue
            chosen = kinds == kind
            rows = np.flatnonzero(chosen.any(axis=(0, 2)))
            some = slice(int(rows[0]), int(rows[-1]) + 1)  # those of one lag are neighbours
            parts = [np.einsum("trn,trnw->tnw", chosen[:, some].astype(np.float64), state[:, some]) for state in states]
            if not any(part.any() for part in parts):
                continue  # rows that carry nothing are in any band
            self._tops[which] = max(top, band_here)
            for total, part in zip(self._totals(which, band_here, states), parts, strict=True):
                total[at] += part

    def _totals(self, which: int, power: int, states: list[Array]) -> list[Array]:
        """Give what waits of a lag and a band, by kind of state."""
        waiting = self._waiting.get((which, power))
        if waiting is None:
            waiting = [np.zeros((self._chunk, self.taken.shape[1], one.shape[-1])) for one in states]
            self._waiting[which, power] = waiting
        return waiting

    def _lag(self, place: int, low: int, states: list[Array]) -> Integers:
        """Count the steps between where each row first arrived and each place, (steps, rows, N)."""
        born = self._born[low : low + states[0].shape[1]]
        steps = slice(place, place + len(states[0]))
        if (born < 0).any():
            here = np.logical_or.reduce([(one != 0).any(axis=-1) for one in states])
            last = here.shape[0] - 1 - np.argmax(here[::-1], axis=0)
            counted = np.take_along_axis(self.taken[steps], last, axis=0)
            np.copyto(born, counted, where=(born < 0) & here.any(axis=0))
        return np.asarray(np.maximum(born - self.taken[steps, None], 0))

    def finish(self) -> None:
        """Walk the steps of what waits, and multiply by the other factors of the weights."""
        if not self._waiting:
            return
        block, cell, start = self.block, self.block.cell, max(self._first - self._chunk, 0)
        skipped = start - (self._first - self._chunk)
        past = block.past(start, self._first, samples=self.samples, wide=True)
        x = block.order(block.x)[start : self._first, self.samples].astype(np.float64, copy=False)
        factors = cell.factors(past)
        states = [np.stack([one[skipped:] for one in kind]) for kind in zip(*self._waiting.values(), strict=True)]
        da, every = np.empty((*states[0].shape[:3], len(self.weight))), slice(None)
        cell.back(factors, every, states, da, self.weight, [np.empty_like(kind) for kind in states])
        to_input = cell.to_input(factors, every, da, states[0])
        for row, (which, power) in enumerate(self._waiting):
            for name, left, right in cell.weight_factors(past, x, da[row], to_input[row], states[0][row]):
                if name in self._fixed:
                    continue
                flat = right.reshape(-1, right.shape[-1])
                found = flat.sum(axis=0) if left is None else left.reshape(-1, left.shape[-1]).T @ flat
                known = self._sums[which].get((name, power))
                self._sums[which][name, power] = found if known is None else known + found
        self._waiting = {}

    def logs(self) -> Floats:
        """Give ln of the norm of what comes from every lag of `lags` on; -inf of nothing, NaN where it is not known."""
        self.finish()
        found = np.full(len(self.lags), np.nan)
        total: dict[tuple[str, int], Array] = {}
        for which in range(len(self.lags) - 1, -1, -1):
            for key, part in self._sums[which].items():
                total[key] = total[key] + part if key in total else part
            found[which] = _log_norm(total) if self.known else np.nan
        return found


def _log_norm(total: dict[tuple[str, int], Array]) -> float:
    """Give ln of the norm over all weights, whose parts are in bands."""
    bands = {band for (_, band), part in total.items() if part.any()}
    if not bands:
        return -math.inf
    top, joined = max(bands), dict[str, Array]()
    for (name, band), part in total.items():
        lifted = np.ldexp(part, max((band - top) * BAND, -4096))
        joined[name] = joined[name] + lifted if name in joined else lifted
    size = math.hypot(*[norm(part) for part in joined.values()])
    return math.log(size) + top * LOG_BAND if size > 0 else -math.inf if size == 0 else math.nan
