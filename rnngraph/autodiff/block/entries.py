"""What enters a block in a window of steps, a row a loss: over all its steps from the layer above, or at one state.

In: fields and entries. Out: what enters at each place of the window, and up to where it can simply be added.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.contribution import Array


@dataclass(frozen=True, slots=True)
class Field:
    """Cotangents of some timesteps, in one band: `rows` (count, N, steps, ·) from row `low` and step `first` on."""

    rows: Array
    low: int = 0
    first: int = 0
    band: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Cotangents of one state at one timestep: `rows` (count, N, ·) from row `low` on, in one band."""

    kind: int
    t: int
    rows: Array
    low: int = 0
    band: int = 0


class Entering:
    """All that enters in a window; places are counted from its start."""

    def __init__(self, block: Block, start: int, some: Iterable[Field | Entry]) -> None:
        """Sort it by place."""
        self.block, self.start = block, start
        self.single: dict[int, list[Entry]] = {}
        self.fields: list[tuple[int, int, Field]] = []  # first and last place
        for one in some:
            if isinstance(one, Entry):
                self.single.setdefault(block.place_of(one.t) - start, []).append(one)
            elif one.rows.size:
                ends = [block.place_of(t) - start for t in (one.first, one.first + one.rows.shape[2] - 1)]
                self.fields.append((min(ends), max(ends), one))
        self.places = sorted(self.single)

    def at(self, p: int) -> list[Entry]:
        """Give what enters at a place, that of h first."""
        t = self.block.place_of(self.start + p)
        found = [
            Entry(0, t, one.rows[:, :, t - one.first], one.low, one.band)
            for first, last, one in self.fields
            if first <= p <= last
        ]
        found += self.single.get(p, [])
        return sorted(found, key=lambda one: one.kind > 0) if len(found) > 1 else found

    def before(self, p: int) -> int:
        """Give the last place before another at which anything enters, -1 for none."""
        near = bisect_left(self.places, p)
        found = self.places[near - 1] if near else -1
        for first, last, _ in self.fields:
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
