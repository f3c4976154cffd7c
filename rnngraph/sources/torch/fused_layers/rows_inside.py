"""Many losses walked back through one call of a fused layer at once, in numbers that cannot underflow.

In: what reaches the layer, a row a loss. Out: norms of its states, told to whoever measures, and what the layer hands
on to its input and to its first states, every row times a power of two of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.carry import BAND
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.autodiff.contribution import Array, StateSlice
from rnngraph.autodiff.cotangents import Cotangents
from rnngraph.measure.recording import See
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.torch.autograd.edges import home_of_float64
from rnngraph.sources.torch.fused_layers.layout import array
from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall
from rnngraph.trace.magnitudes import Integers


class RowsIn:
    """Rows that enter the last layers of a call, at its output and at its last states; of the `samples` alone."""

    def __init__(self, inside: UnrolledCall, samples: Integers) -> None:
        """Start with nothing."""
        self.inside, self.samples = inside, samples
        self._some: list[tuple[int, Cotangents]] = []  # by entry id of a block

    def __bool__(self) -> bool:
        """Whether anything enters."""
        return bool(self._some)

    def at_step(self, row: int, t: int, one: Array) -> None:
        """Let (N, ·) enter in one row at one step of the output."""
        for block, part in self._outputs(one[None, self.samples]):
            self._some.append((block, Cotangents(StateSlice("h", t, part), row, 1)))

    def add(self, kind: str, rows: Any, exponents: Integers, first: int = 0) -> None:
        """Let rows enter at the output "out" or at the last states "h" or "c", from row `first` on.

        They have the form that PyTorch gives it, with an axis in front; each is times a power of two, its exponent.
        """
        layout = self.inside.layout
        if kind == "out":
            field = array(layout.spread(rows, lead=1).transpose(1, 2), torch.float64)
            for block, part in self._outputs(field[:, self.samples]):
                self._add(block, part, exponents, first)
        else:
            states = array(layout.states(rows, lead=1), torch.float64)
            for place, (own, t) in enumerate(self.inside.ends()):
                self._add(own.id, states[:, place, self.samples], exponents, first, (kind, t))

    def _add(
        self, block: int, rows: Array, exponents: Integers, first: int, state: tuple[str, int] | None = None
    ) -> None:
        for low, band, some in _banded(rows, exponents):
            value = some if state is None else StateSlice(*state, some)
            self._some.append((block, Cotangents(value, first + low, len(some), band)))

    def _outputs(self, some: Array) -> Iterator[tuple[int, Array]]:
        """Divide what belongs to an output among the directions."""
        top = self.inside.blocks[-self.inside.directions :]
        return ((block.id, part) for block, part in zip(top, np.split(some, len(top), axis=-1), strict=True))

    def rows(
        self, rows: list[tuple[int, int]], samples: Mapping[int, Integers], window: tuple[int, int] | None = None
    ) -> dict[int, list[Cotangents]]:
        """Give what enters in some rows, (0, number of the row), which follow one another."""
        first, last = rows[0][1], rows[-1][1] + 1
        start, stop = window or (0, self.inside.layout.steps)
        found: dict[int, list[Cotangents]] = {}
        for block, one in self._some:
            low, high = max(one.low, first), min(one.low + one.count, last)
            value, some = one.value, slice(low - one.low, high - one.low)
            if low >= high or (isinstance(value, StateSlice) and not start <= value.t < stop):
                continue
            if isinstance(value, StateSlice):
                value = StateSlice(value.kind, value.t, value.array[some])
            else:
                value = np.asarray(value)[some, :, start:stop]
            found.setdefault(block, []).append(Cotangents(value, low - first, high - low, one.band, True, start))
        return found


class RowsOut:
    """What a call hands on, by node of its tape: rows band by band, and their powers of two."""

    def __init__(self, inside: UnrolledCall, rows: int, samples: Integers) -> None:
        """Start with nothing."""
        self._inside, self._rows, self._samples = inside, rows, samples
        self._bands: dict[tuple[int, int], Array] = {}

    def at_input(self) -> Iterator[tuple[Any, Integers]]:
        """Give what reached the input in the form that it has, in float64, with exponents."""
        for rows, exponents in self._of(self._inside.x):
            yield self._inside.layout.gathered(self._at_home(rows).transpose(1, 2), lead=1), exponents

    def at_start(self, kind: str) -> Iterator[tuple[Any, Integers]]:
        """Give likewise what reached the first states, of a layer and direction at a time."""
        recurrences = self._inside.recurrences
        for place, one in enumerate(recurrences):
            for states, exponents in self._of(one.initial[kind]):
                every = np.zeros((len(states), len(recurrences), *states.shape[1:]))
                every[:, place] = states
                home = self._at_home(every)
                yield home.squeeze(2) if self._inside.layout.unbatched else home, exponents

    def _of(self, node: int) -> list[tuple[Array, Integers]]:
        return [(value, np.full(self._rows, band * BAND)) for (one, band), value in self._bands.items() if one == node]

    def _at_home(self, rows: Array) -> Any:
        return torch.from_numpy(rows).to(home_of_float64(self._inside.layer.x.tensor.device))

    def add(self, shape: tuple[int, ...], node: int, first: int, some: Sequence[Cotangents]) -> None:
        """Add what reached a node, whose values are of this shape."""
        for one in some:
            value = np.asarray(one.value)
            value = value if one.narrow else value[:, self._samples]
            total = self._bands.setdefault((node, one.band), np.zeros((self._rows, len(self._samples), *shape[1:])))
            part = total[first + one.low : first + one.low + one.count]
            (part[:, :, one.first : one.first + value.shape[2]] if one.narrow else part)[...] += value


def rows_inside(
    entering: RowsIn, rows: int, see: See, *, onward: bool, to_input: bool,
    weigh: Mapping[Block, WeightLags], ignored: int,
) -> RowsOut:  # fmt: skip
    """Walk rows back through all layers of a call.

    Args:
        entering: what enters it.
        rows: how many there are.
        see: is told the norms of states, by the number of a recurrence of the tape.
        onward: whether what reaches the input and the first states is wanted.
        to_input: whether norms at the input are told, as of the first recurrence.
        weigh: sums what the weights of each block get.
        ignored: the number of the first rows that are not weighed.
    """
    inside, samples = entering.inside, entering.samples
    tape, leaving = inside.tape, RowsOut(inside, rows, samples)
    wanted = [inside.x, *(i for one in inside.recurrences for i in one.initial.values())] if onward else []
    plan = Plan(tape, Clocks(tape), wanted, {inside.x: [0]} if to_input else None)
    plan.pull(
        entering, [(0, k) for k in range(rows)], {inside.layout.batch: samples}, see,
        weigh={block.id: weigh[block] for block in inside.blocks if block in weigh}, ignored=ignored,
        leave=lambda node, first, some: leaving.add(tape.entry(node).value.shape, node, first, some),
    )  # fmt: skip
    return leaving


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
