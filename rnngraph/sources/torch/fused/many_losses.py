"""Many losses walked back through one call of a fused layer at once, in numbers that cannot underflow.

In: what reaches the layer, a row a loss. Out: norms of its states, told to whoever measures, and what the layer hands
on to its input and to its first states, every row times a power of two of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import BAND
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.measure.recording import See
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.torch.fused.inside import Inside
from rnngraph.trace.magnitudes import Integers


@dataclass(slots=True)
class Arriving:
    """Rows that reach a fused layer, of all samples; `exponents` (rows,): by which power of two each is multiplied."""

    shares: list[tuple[int, int, Array]] = field(default_factory=list)  # (row, t, (N, ·)) of the output
    fields: list[tuple[Array, Integers]] = field(default_factory=list)  # (rows, N, T, ·) of the output
    ends: list[tuple[str, int, Array, Integers]] = field(default_factory=list)  # kind, first row, (rows, places, N, ·)

    def __bool__(self) -> bool:
        """Whether anything arrives."""
        return bool(self.shares or self.fields or self.ends)


class _Entering:
    """The same as what enters the blocks of a tape: one `Enters`."""

    def __init__(self, inside: Inside, arriving: Arriving, samples: Integers) -> None:
        self._top = inside.blocks[-inside.directions :]
        self._ends = list(inside.ends())
        self._shares = [(row, t, one[samples].astype(np.float64)) for row, t, one in arriving.shares]
        self._fields = [part for rows, bits in arriving.fields for part in _banded(rows[:, samples], bits)]
        self._last = [
            (kind, place, low + first, band, one)
            for kind, low, rows, bits in arriving.ends
            for place in range(rows.shape[1])
            for first, band, one in _banded(rows[:, place, samples], bits)
        ]

    def rows(
        self, rows: list[tuple[int, int]], samples: Mapping[int, Integers], window: tuple[int, int] | None = None
    ) -> dict[int, list[Cotangents]]:
        """Give what enters in some rows, (0, number of the row), which follow one another."""
        first, last = rows[0][1], rows[-1][1] + 1
        found: dict[int, list[Cotangents]] = {}
        for entry, one in self._all(window):
            low, high = max(one.low, first), min(one.low + one.count, last)
            if low < high:
                value = _of_rows(one.value, slice(low - one.low, high - one.low))
                some = found.setdefault(entry, [])
                some.append(Cotangents(value, low - first, high - low, one.band, True, one.first))
        return found

    def _all(self, window: tuple[int, int] | None) -> Iterator[tuple[int, Cotangents]]:
        for d, block in enumerate(self._top):
            start, stop = window or (0, block.steps)
            width = block.value.shape[-1]
            part = slice(d * width, (d + 1) * width)
            for row, t, one in self._shares:
                if start <= t < stop:
                    yield block.id, Cotangents(StateSlice("h", t, one[None, :, part]), row, 1)
            for low, band, rows in self._fields:
                some = rows[:, :, start:stop, part]
                held = np.flatnonzero(some.any(axis=(1, 2, 3)))  # rows up to the last that holds anything
                count = int(held[-1]) + 1 if held.size else 0
                yield block.id, Cotangents(some[:count], low, count, band, first=start)
        for kind, place, low, band, one in self._last:
            block, t = self._ends[place]
            if window is None or window[0] <= t < window[1]:
                yield block.id, Cotangents(StateSlice(kind, t, one), low, len(one), band)


class Leaving:
    """What a layer hands on, by node of its tape: rows band by band, and their powers of two."""

    def __init__(self, rows: int, samples: Integers) -> None:
        """Start with nothing."""
        self._rows, self._samples = rows, samples
        self._bands: dict[tuple[int, int], Array] = {}

    def of(self, node: int) -> list[tuple[Array, Integers]]:
        """Give what reached a node, (rows, samples, ...), with exponents."""
        return [(value, np.full(self._rows, band * BAND)) for (one, band), value in self._bands.items() if one == node]

    def add(self, shape: tuple[int, ...], node: int, first: int, some: Sequence[Cotangents]) -> None:
        """Add what reached a node, whose values are of this shape."""
        for one in some:
            value = np.asarray(one.value)
            value = value if one.narrow else value[:, self._samples]
            total = self._bands.setdefault((node, one.band), np.zeros((self._rows, len(self._samples), *shape[1:])))
            part = total[first + one.low : first + one.low + one.count]
            (part[:, :, one.first : one.first + value.shape[2]] if one.narrow else part)[...] += value


def rows_inside(
    inside: Inside, arriving: Arriving, rows: int, samples: Integers, see: See, *, onward: bool, to_input: bool = False,
    weigh: Mapping[Block, WeightLags], ignored: int = 0,
) -> Leaving:  # fmt: skip
    """Walk rows back through all layers of a call.

    Args:
        inside: the call.
        arriving: what reaches it.
        rows: how many there are.
        samples: which of them are walked.
        see: is told the norms of states, by the number of a recurrence of the tape.
        onward: whether what reaches the input and the first states is wanted.
        to_input: whether norms at the input are told, as of the first recurrence.
        weigh: sums what the weights of each block get.
        ignored: the number of the first rows that are not weighed.
    """
    tape, leaving = inside.tape, Leaving(rows, samples)
    wanted = [inside.x, *(i for one in inside.recurrences for i in one.initial.values())] if onward else []
    plan = Plan(tape, Clocks(tape), wanted, {inside.x: [0]} if to_input else None)
    plan.pull(
        _Entering(inside, arriving, samples), [(0, k) for k in range(rows)], {inside.layout.batch: samples}, see,
        weigh={block.id: weigh[block] for block in inside.blocks if block in weigh}, ignored=ignored,
        leave=lambda node, first, some: leaving.add(tape.entry(node).value.shape, node, first, some),
    )  # fmt: skip
    return leaving


def _of_rows(value: Contribution, part: slice) -> Contribution:
    if isinstance(value, StateSlice):
        return StateSlice(value.kind, value.t, value.array[part])
    return np.asarray(value)[part]


def _banded(rows: Array, exponents: Integers) -> Iterator[tuple[int, int, Array]]:
    """Bring rows with exponents into the bands of the engine: first row, band and rows of each that occurs."""
    bands = np.round(exponents / BAND).astype(np.int64)
    rest = (exponents - bands * BAND).reshape(-1, *[1] * (rows.ndim - 1))
    scaled = np.ldexp(rows, rest.astype(np.int32)) if rest.any() else rows
    for band in np.unique(bands).tolist():
        here = np.flatnonzero(bands == band)
        low, high = int(here[0]), int(here[-1]) + 1
        own = (bands[low:high] == band).reshape(-1, *[1] * (rows.ndim - 1))
        part = scaled[low:high] if len(here) == high - low else np.where(own, scaled[low:high], 0)
        yield low, band, np.asarray(part, np.float64)
