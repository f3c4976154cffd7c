"""One step back where factors are so small that a product could leave the range of a float64.

In: a step of a cell, and what is under way behind it. Out: what is under way before it, and what the input's projection
gets. A step is linear: gradients are walked back in parts of about one size, each lifted to where a small factor leaves
it a number, and are put together again in the bands of their results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from rnngraph.autodiff.block.carry import BAND, Carry, bands_away, lifted
from rnngraph.autodiff.cell import Cell, Factors
from rnngraph.autodiff.contribution import Array
from rnngraph.norms import row_norms

_BITS = -400  # of the smallest factors of a step together, below which it is walked with care


def needs_care(factors: Factors, weights: Iterable[Array]) -> bool:
    """Say whether the factors of a window of steps, multiplied, may be as small as that."""
    arrays = [one for value in factors.values() for one in (value.values() if isinstance(value, Mapping) else [value])]
    return sum(_bits(array) for array in (*arrays, *weights)) < _BITS


def _bits(array: Array) -> float:
    size = np.abs(array)
    return min(0.0, float(np.log2(size.min(initial=1.0, where=size > 0))))


def by_size(rows: Array) -> Iterator[tuple[int, Array]]:
    """Split numbers into those of a band each, which is brought to about one: (band, part)."""
    known = (rows != 0) & np.isfinite(rows)
    bands = np.where(known, np.round(np.frexp(np.where(known, rows, 1.0))[1] / BAND).astype(np.int64), 0)
    for band in np.unique(bands[rows != 0]).tolist():
        yield band, np.ldexp(np.where(bands == band, rows, 0), -band * BAND)


def highest(back: Callable[[Array], list[Array]], part: Array) -> tuple[int, list[Array]]:
    """Walk a part back, lifted if its results stay finite; give their band beside that of the part."""
    found = back(np.ldexp(part, BAND))
    if all(np.isfinite(one).all() for one in found):
        return -1, found
    return 0, back(part)


def within_with_care(cell: Cell, factors: Factors, p: int, carry: Carry) -> list[bool]:
    """Add what the gradient of h makes of that of the other states of step p; say of which it makes anything."""
    run, own = slice(carry.low, carry.high), carry.bands[0]
    others = carry.states[1:]

    def within(part: Array) -> list[Array]:
        found = [np.empty_like(one[run]) for one in others]
        cell.within(factors, p, part, found)
        return found

    made = [False] * len(others)
    for band, part in by_size(carry.states[0][run]) if others else ():
        lift, found = highest(within, part)
        for kind, one in enumerate(found, 1):
            _enter(carry, carry.low, one, (0 if own is None else own[run]) + band + lift, kind)
            made[kind - 1] |= bool(one.any())
    return made


def back_with_care(
    cell: Cell, factors: Factors, p: int, carry: Carry, weight: Array, mend: Callable[[Array, list[Array]], None]
) -> tuple[Carry, Carry]:
    """Walk step p back; `mend` changes what is handed back, given the gradient of h.

    Returns:
        what is under way before the step, and what x·Wx + b gets.
    """
    run, (rows, samples) = slice(carry.low, carry.high), carry.states[0].shape[:2]
    before = Carry.empty(rows, samples, [state.shape[-1] for state in carry.states])
    gates = Carry.empty(rows, samples, [len(weight)])

    def back(kind: int, part: Array) -> list[Array]:
        alone = [part if k == kind else np.zeros_like(one[run]) for k, one in enumerate(carry.states)]
        da, out = np.empty((*part.shape[:2], len(weight))), [np.empty_like(one) for one in alone]
        cell.back(factors, p, alone, da, weight, out)
        to_gates = cell.to_input(factors, p, da, alone[0])
        mend(alone[0], out)
        return [to_gates, *out]

    for kind, state in enumerate(carry.states):
        own = carry.bands[kind]
        for band, part in by_size(state[run]):
            lift, (to_gates, *out) = highest(partial(back, kind), part)
            at = (0 if own is None else own[run]) + band + lift
            _enter(gates, carry.low, to_gates, at, 0)
            for k, one in enumerate(out):
                _enter(before, carry.low, one, at, k)
    return before, gates


def _enter(carry: Carry, low: int, rows: Array, band: Array | int, kind: int) -> None:
    """Add rows in the bands of their norms."""
    shift = bands_away(row_norms(rows))
    carry.enter(low, lifted(rows, -shift), band=band + shift, kind=kind)
