"""What enters a block in a window of steps, a row a loss: over all its steps from the layer above, or at one state.

In: cotangents. Out: what enters at each place of the window, and up to where it can simply be added.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.block.given import single_state
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.cotangents import Cotangents


class Entry(NamedTuple):
    """Cotangents of one kind of state at one place: `rows` (count, N, ·) from row `low` on, in one band."""

    kind: int
    rows: Array
    low: int
    band: int


class Entering:
    """All that enters in a window; places are counted from its start."""

    def __init__(self, block: Block, start: int, some: Iterable[Cotangents], samples: Any) -> None:
        """Sort it by place, and keep the chosen samples."""
        self.block, self.start = block, start
        self.single: dict[int, list[Entry]] = {}
        # first and last place, and rows (count, N, steps, ·)
        self.fields: list[tuple[int, int, Array, Cotangents]] = []
        kinds = list(block.columns)
        for one in some:
            state = single_state(one.value)
            kind, t, value = state or ("h", one.first, one.dense(block.value.shape))
            value = value if one.narrow else value[:, samples]
            place = block.place_of(t) - start
            if state is not None:
                self.single.setdefault(place, []).append(Entry(kinds.index(kind), value, one.low, one.band))
            elif value.size:
                other = block.place_of(t + value.shape[2] - 1) - start
                self.fields.append((min(place, other), max(place, other), value, one))
        self.places = sorted(self.single)

    def at(self, p: int) -> list[Entry]:
        """Give what enters at a place, that of h first."""
        t = self.block.place_of(self.start + p)
        found = [
            Entry(0, rows[:, :, t - one.first], one.low, one.band)
            for first, last, rows, one in self.fields
            if first <= p <= last
        ]
        found += self.single.get(p, [])
        return sorted(found, key=lambda one: one.kind > 0) if len(found) > 1 else found

    def before(self, p: int) -> int:
        """Give the last place before another at which anything enters, -1 for none."""
        near = bisect_left(self.places, p)
        found = self.places[near - 1] if near else -1
        for first, last, *_ in self.fields:
            if first < p:
                found = max(found, min(last, p - 1))
        return found

    def between(self, first: int, last: int) -> dict[int, list[Entry]]:
        """Give what enters at places from `first` to `last`."""
        if any(one[0] <= last and first <= one[1] for one in self.fields):
            return {p: self.at(p) for p in range(first, last + 1)}
        near = self.places[bisect_left(self.places, first) : bisect_right(self.places, last)]
        return {p: self.at(p) for p in near}


def fits(carry: Carry, some: Sequence[Entry]) -> bool:
    """Say whether rows that enter are in the bands of those under way, so that they can simply be added."""
    for one in some:
        band, high = carry.bands[one.kind], one.low + len(one.rows)
        first, last = max(one.low, carry.low), min(high, carry.high)
        if one.band and (first > one.low or last < high):  # a row that comes in begins in band 0
            return False
        if one.band if band is None else first < last and (band[first:last] != one.band).any():
            return False
    return True
