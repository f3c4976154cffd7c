"""Many losses walked back through one call of a fused layer at once, in numbers that cannot underflow.

They are float64 whatever the model's type: a row's power of two is a band of 2^512, which float32 does not hold.
In: what reaches the layer, a row a loss. Out: norms of its states, told to whoever measures, and what the layer
hands on to its input and to its first states, every row times a power of two of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import BAND, Carry
from rnngraph.autodiff.block.many_losses import Entry, Field, pull_rows
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.fed import logs_of
from rnngraph.sources.torch.fused.inside import Inside, PinnedBlock
from rnngraph.trace.magnitudes import Floats, Integers

_BYTES = 16_000_000  # of a window's rows of inputs
_SHORTEST, _LONGEST = 16, 128  # steps of a window

# (layer, direction, timestep or -1, first row, logs of norms by kind)
SeeInside: TypeAlias = Callable[[int, int, int, int, list[Floats]], None]
SeeInput: TypeAlias = Callable[[int, int, Array], None]  # (first timestep, first row, logs of norms (steps, rows, N))


@dataclass(slots=True)
class Arriving:
    """Rows that reach a fused layer, of all samples; `exponents` (rows,): by which power of two each is multiplied."""

    shares: list[tuple[int, int, Array]] = field(default_factory=list)  # (row, t, (N, ·)) of the output
    fields: list[tuple[Array, Integers]] = field(default_factory=list)  # (rows, N, T, ·) of the output
    ends: list[tuple[str, int, Array, Integers]] = field(default_factory=list)  # kind, first row, (rows, places, N, ·)

    def __bool__(self) -> bool:
        """Whether anything arrives."""
        return bool(self.shares or self.fields or self.ends)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a layer hands on: of its input (rows, N, T, ·), of its first states (rows, places, N, ·)."""

    to_input: Array | None
    initial: dict[str, Array]
    exponents: Integers


def rows_inside(
    inside: Inside, arriving: Arriving, rows: int, samples: Integers, see: SeeInside, *, to_input: bool,
    see_input: SeeInput | None = None, weigh: Mapping[Block, WeightLags] | None = None,
) -> Leaving:  # fmt: skip
    """Walk rows back through all layers of a call, the latest loss first; `see_input` is told what the input gets.

    `weigh` sums what the weights of each block get.
    """
    walk = _Walk(inside, arriving, rows, samples, see, to_input, see_input)
    walk.weigh = weigh or {}
    for start, stop in walk.windows():
        walk.pull(start, stop)
    return walk.leaving()


class _Walk:
    def __init__(
        self, inside: Inside, arriving: Arriving, rows: int, samples: Integers, see: SeeInside, to_input: bool,
        see_input: SeeInput | None,
    ) -> None:  # fmt: skip
        self.inside, self.arriving, self.rows, self.samples = inside, arriving, rows, samples
        self.see, self.to_input, self.see_input = see, to_input, see_input
        self.carries = [
            [Carry.empty(rows, len(samples), [c.shape[-1] for c in block.columns.values()]) for block in row]
            for row in inside.blocks
        ]
        self.left: list[Field] = []
        self.weigh: Mapping[Block, WeightLags] = {}
        self.fields = [one for some, exponents in arriving.fields for one in _banded(some[:, samples], exponents)]

    def windows(self) -> Iterator[tuple[int, int]]:
        """Give runs of places, last first; a layer with two directions is walked at once."""
        time = self.inside.layer.steps
        if self.inside.directions > 1:
            yield 0, time
            return
        widest = max(block.x.shape[-1] for row in self.inside.blocks for block in row)
        length = int(np.clip(_BYTES // (8 * self.rows * len(self.samples) * widest), _SHORTEST, _LONGEST))
        for stop in range(time, 0, -length):
            yield max(0, stop - length), stop

    def pull(self, start: int, stop: int) -> None:
        """Walk a window back, from the last layer to the first."""
        blocks, only_seen = self.inside.blocks, self.inside.directions == 1 and not self.to_input
        fields = [_cut(one, start, stop) for one in self.fields]
        for number in range(len(blocks) - 1, -1, -1):
            emitted: list[Field] = []
            for d, block in enumerate(blocks[number]):
                entering: list[Field | Entry] = [_of_direction(one, d, block) for one in fields]
                if number == len(blocks) - 1:
                    entering += self._shares(d, block, start, stop)
                entering += self._ends(number, d, block, start, stop)
                emitted += pull_rows(
                    block, entering, self.carries[number][d], window=(start, stop), see=self._seen(number, d),
                    to_input=self.to_input or number > 0 or self.see_input is not None, samples=self.samples,
                    tell=self.see_input if number == 0 and only_seen else None, weigh=self.weigh.get(block),
                )  # fmt: skip
            mask = self.inside.masks[number - 1] if number else None
            fields = emitted if mask is None else [self._masked(one, mask) for one in emitted]
        if self.see_input is not None and fields:
            for low, logs in logs_of([(one.band, one.low, one.rows) for one in fields]):
                self.see_input(fields[0].first, low, logs.transpose(2, 0, 1))
        if self.to_input:
            self.left += fields

    def _seen(self, number: int, direction: int) -> Callable[[Block, int, int, list[Array]], None]:
        def told(block: Block, first: int, low: int, logs: list[Array]) -> None:
            for k, by_kind in enumerate(zip(*logs, strict=True)):
                self.see(number, direction, first + k, low, list(by_kind))

        return told

    def _shares(self, direction: int, block: Block, start: int, stop: int) -> Iterator[Entry]:
        width = block.value.shape[-1]
        part = slice(direction * width, (direction + 1) * width)
        for row, t, one in self.arriving.shares:
            if start <= block.place_of(t) < stop:
                yield Entry(0, t, np.asarray(one[None, self.samples, part], np.float64), row)

    def _ends(self, number: int, direction: int, block: Block, start: int, stop: int) -> Iterator[Entry]:
        place, last = number * self.inside.directions + direction, 0 if block.reverse else block.steps - 1
        if not start <= block.place_of(last) < stop:
            return
        for kind, low, some, exponents in self.arriving.ends:
            for one in _banded(some[:, place, self.samples], exponents):
                yield Entry(list(block.columns).index(kind), last, one.rows, low + one.low, one.band)

    def _masked(self, one: Field, mask: Array) -> Field:
        steps = slice(one.first, one.first + one.rows.shape[2])
        return Field(one.rows * mask[steps][:, self.samples].swapaxes(0, 1), one.low, one.first, one.band)

    def leaving(self) -> Leaving:
        """Gather what was handed on, every row brought to a size near one."""
        initial: dict[str, list[tuple[Array, Any, int]]] = {}
        for row in self.carries:
            for carry in row:
                for kind, state, bands in zip(self.inside.blocks[0][0].columns, carry.states, carry.bands, strict=True):
                    run = slice(carry.low, carry.high)
                    band = 0 if bands is None else bands[run] * BAND
                    initial.setdefault(kind, []).append((state[run], band, carry.low))
        tops = np.full(self.rows, -(1 << 40))
        for one in self.left:
            _raise(tops, one.rows, one.low, one.band * BAND)
        for some in initial.values():
            for state, band, low in some:
                _raise(tops, state, low, band)
        exponents = np.where(tops > -(1 << 40), tops, 0)
        return Leaving(self._input(exponents), self._initial(initial, exponents), exponents)

    def _input(self, exponents: Integers) -> Array | None:
        if not self.to_input:
            return None
        time, width = self.inside.layer.steps, self.inside.blocks[0][0].x.shape[-1]
        found = np.zeros((self.rows, len(self.samples), time, width))
        for one in self.left:
            run = slice(one.low, one.low + len(one.rows))
            shift = one.band * BAND - exponents[run, None, None, None]
            found[run, :, one.first : one.first + one.rows.shape[2]] += _shifted(one.rows, shift)
        return found

    def _initial(self, initial: dict[str, list[tuple[Array, Any, int]]], exponents: Integers) -> dict[str, Array]:
        found = {}
        for kind, some in initial.items():
            whole = np.zeros((self.rows, len(some), len(self.samples), some[0][0].shape[-1]))
            for place, (state, band, low) in enumerate(some):
                run = slice(low, low + len(state))
                shift = np.broadcast_to(np.asarray(band), state.shape[:2])[..., None] - exponents[run, None, None]
                whole[run, place] = _shifted(state, shift)
            found[kind] = whole
        return found


def _raise(tops: Integers, rows: Array, low: int, band: Any) -> None:
    """Note the binary exponent of the largest number of every row."""
    if not rows.size:
        return
    largest = np.abs(rows).reshape(*rows.shape[:2], -1).max(axis=2)
    known = (largest > 0) & np.isfinite(largest)
    own = np.where(known, np.frexp(np.where(known, largest, 1))[1] + band, -(1 << 40)).max(axis=1)
    np.maximum(tops[low : low + len(rows)], own, out=tops[low : low + len(rows)])


def _shifted(rows: Array, bits: Array) -> Array:
    return np.asarray(np.ldexp(rows, np.clip(bits, -4096, 4096).astype(np.int32)))


def _banded(rows: Array, exponents: Integers) -> list[Field]:
    """Bring rows with exponents into the bands of the engine: a field a band that occurs."""
    bands = np.round(exponents / BAND).astype(np.int64)
    rest = (exponents - bands * BAND).reshape(-1, *[1] * (rows.ndim - 1))
    scaled = _shifted(rows, rest) if rest.any() else rows
    found = []
    for band in np.unique(bands).tolist():
        here = np.flatnonzero(bands == band)
        low, high = int(here[0]), int(here[-1]) + 1
        part = scaled[low:high]
        if len(here) < high - low:
            part = np.where((bands[low:high] == band).reshape(-1, *[1] * (rows.ndim - 1)), part, 0)
        found.append(Field(np.asarray(part, np.float64), low, 0, band))
    return found


def _cut(one: Field, start: int, stop: int) -> Field:
    """Take a window of a field over all steps, and of its rows those up to the last that holds anything."""
    rows = one.rows[:, :, start:stop]
    held = np.flatnonzero(rows.any(axis=(1, 2, 3)))
    return Field(rows[: int(held[-1]) + 1 if held.size else 0], one.low, start, one.band)


def _of_direction(one: Field, direction: int, block: PinnedBlock) -> Field:
    width = block.value.shape[-1]
    return Field(one.rows[..., direction * width : (direction + 1) * width], one.low, one.first, one.band)
