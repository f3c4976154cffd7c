"""The way back over a block for many cotangents at once: a window of steps, a row a loss.

In: what enters, and the `Carry` of the steps behind the window. Out: what the input gets, and the norms of every state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.block.backward import pass_on
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


# (block, timestep or -1 for the initial states, first row, logs of norms by kind, each (rows, N))
See: TypeAlias = Callable[[Block, int, int, list[Array]], None]
# (block, timestep, whether anything is carried to each kind of state, reaches it at its own step, reaches the gates)
Feel: TypeAlias = Callable[[Block, int, list[bool], list[bool], bool], None]


def pull_rows(
    block: Block,
    entering: Iterable[Field | Entry],
    carry: Carry,
    *,
    window: tuple[int, int],
    see: See | None = None,
    feel: Feel | None = None,
    to_input: bool = True,
    samples: Any = slice(None),
    unrounded: bool = False,
) -> list[Field]:
    """Walk the places of a window back, last first; `carry` is changed in place.

    Returns:
        the cotangents of the input, in one field a band; none where they are not asked for.
    """
    start, stop = window
    entries = list(entering)
    if not entries and carry.low >= carry.high:
        return []
    fields = [one for one in entries if isinstance(one, Field)]
    single: dict[int, list[Entry]] = {}
    for one in entries:
        if isinstance(one, Entry):
            single.setdefault(block.place_of(one.t), []).append(one)
    past = block.past(start, stop, samples=samples, unrounded=unrounded, wide=True)
    cell, columns = block.cell, block.cell.factors(past)
    weight, wx = (np.ascontiguousarray(block.weights[key].T, np.float64) for key in ("Wh", "Wx"))
    R, N = carry.states[0].shape[:2]
    da, out = np.empty((R, N, weight.shape[0])), [np.empty_like(state) for state in carry.states]
    inside = [np.empty_like(state) for state in carry.states[1:]]
    emitted = _Emitted(block, (start, stop), (R, N)) if to_input else None
    for p in range(stop - start - 1, -1, -1):
        place = start + p
        t = block.place_of(place)
        carried = [] if feel is None else carry.holds()
        for field in fields:
            if 0 <= (k := t - field.first) < field.rows.shape[2]:
                carry.enter(field.low, field.rows[:, :, k], band=field.band)
        for entry in single.get(place, ()):
            if entry.kind == 0:
                carry.enter(entry.low, entry.rows, band=entry.band)
        low, high = carry.low, carry.high
        if low < high:
            cell.within(columns, p, carry.states[0][low:high], [one[low:high] for one in inside])
            for number, own in enumerate(inside, 1):
                carry.states[number][low:high] += own[low:high]
        for entry in single.get(place, ()):
            if entry.kind:
                carry.enter(entry.low, entry.rows, band=entry.band, kind=entry.kind)
        low, high = carry.low, carry.high
        if low >= high:
            continue
        if see is not None:
            see(block, t, low, carry.measure())
        g, onto, d = ([one[low:high] for one in some] for some in (carry.states, out, [da]))
        cell.back(columns, p, g, d[0], weight, onto)
        if feel is not None:
            feel(block, t, carried, _arrived(block, t, entries, [one[low:high] for one in inside]), bool(d[0].any()))
        if emitted is not None:
            emitted.add(t, low, cell.to_input(columns, p, d[0], g[0]), wx, carry.band)
        copied = None if past.copied is None or not past.copied[p].any() else past.copied[p]
        if place in block.cuts or copied is not None:
            pass_on(place in block.cuts, copied, g[0], onto)
            if place in block.cuts and copied is None:
                carry.low = carry.high = 0
                continue
        carry.states, out = out, carry.states
    if see is not None and start == 0 and carry.low < carry.high:
        see(block, -1, carry.low, carry.measure())
    return [] if emitted is None else emitted.fields()


def _arrived(block: Block, t: int, entries: list[Field | Entry], inside: list[Array]) -> list[bool]:
    """Say of every kind of state whether anything reaches it at its own step."""
    found = [False, *(bool(one.any()) for one in inside)]
    for one in entries:
        if isinstance(one, Entry):
            found[one.kind] |= one.t == t and bool(one.rows.any())
        elif 0 <= (k := t - one.first) < one.rows.shape[2]:
            found[0] |= bool(one.rows[:, :, k].any())
    return found


class _Emitted:
    """What a window hands to its input, gathered step by step."""

    def __init__(self, block: Block, window: tuple[int, int], shape: tuple[int, int]) -> None:
        times = block.times(*window)
        self.first, count = times.start, times.stop - times.start
        self.rows = np.zeros((count, *shape, block.x.shape[-1]))
        self.bands: Array | None = None
        self.low, self.high = shape[0], 0

    def add(self, t: int, low: int, to_gates: Array, wx: Array, band: Array | None) -> None:
        high, k = low + len(to_gates), t - self.first
        into = self.rows[k, low:high]
        np.dot(to_gates.reshape(-1, to_gates.shape[-1]), wx, out=into.reshape(-1, into.shape[-1]))
        self.low, self.high = min(low, self.low), max(high, self.high)
        if band is not None:
            if self.bands is None:
                self.bands = np.zeros(self.rows.shape[:3], np.int64)
            self.bands[k, low:high] = band[low:high]

    def fields(self) -> list[Field]:
        """Give one field for every band that occurs."""
        if self.low >= self.high:
            return []
        run = slice(self.low, self.high)
        if self.bands is None:
            return [Field(self.rows[:, run].transpose(1, 2, 0, 3), self.low, self.first)]
        found = []
        for band in np.unique(self.bands[:, run]).tolist():
            rows = np.where((self.bands[:, run] == band)[..., None], self.rows[:, run], 0)
            if band == 0 and not rows.any():
                continue
            found.append(Field(rows.transpose(1, 2, 0, 3), self.low, self.first, band))
        return found
