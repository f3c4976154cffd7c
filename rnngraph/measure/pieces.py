"""Parts of gradients with a power of two for every row, and their arithmetic: align, scale, measure.

In and out: `Piece`s. A row is one seed of one sample; its exponent keeps it in the range of a float64, so that nothing
underflows however far it is carried. Scaling by powers of two is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array, Slice, TimeSlice
from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.measure.norms import row_norms

NOTHING = -(1 << 40)  # the exponent of a row of zeros: it never decides to what others are aligned
_SMALL, _LARGE = 2.0**-256, 2.0**256  # far from where squares lose digits; seldom left, as two exponents cost time
_TINY = 1e-140  # sums of squares beyond it and its inverse may have lost digits
_LN2 = float(np.log(2))


@dataclass(slots=True)
class Piece:
    """Part of a gradient: rows `low ..` of all seeds, times 2 ** exponent; `owned` arrays may be written to."""

    low: int
    part: Any  # an array (seeds, *shape), or another contribution to the slot
    exponent: Integers | None  # (seeds, samples) or (seeds, 1); None is zero everywhere
    count: int
    owned: bool = False

    @property
    def high(self) -> int:
        """The seed after the last."""
        return self.low + self.count

    def without(self, cut: int) -> Piece:
        """Leave out the first `cut` seeds."""
        exponent = None if self.exponent is None else self.exponent[cut:]
        part = _with(self.part, _array(self.part)[cut:])
        return Piece(self.low + cut, part, exponent, self.count - cut, owned=self.owned)


def measured(piece: Piece) -> tuple[Piece, Floats]:
    """Measure a state's rows and bring them back to about 1.

    Returns:
        the gradient, renormalised, and ln of the norms, (seeds, samples): -inf is zero, inf non-finite.
    """
    array = piece.part
    samples = array.shape[1] if array.ndim > 2 else 1
    rows = array.reshape(len(array), samples, -1)
    exponent = piece.exponent
    norms = _norms(rows, exponent)
    logs = np.log(norms)
    if exponent is not None:
        logs += np.where(exponent == NOTHING, 0, exponent) * _LN2
    inside = (norms > _SMALL) & (norms < _LARGE)
    if inside.all():
        return piece, logs
    finite = np.isfinite(norms)
    logs[~finite] = np.inf
    outside = ~inside & (norms > 0) & finite
    if not outside.any():
        return piece, logs
    shift = np.where(outside, np.frexp(norms)[1], 0).astype(np.int64)
    exponent = shift if exponent is None else np.broadcast_to(exponent, norms.shape) + shift
    exponent = np.where(norms == 0, NOTHING, exponent)
    if not piece.owned:
        array = array.copy()
        rows = array.reshape(len(array), samples, -1)
    places = np.nonzero(shift)
    rows[places] = np.ldexp(rows[places], -shift[places][:, None])
    return Piece(piece.low, rows.reshape(array.shape), exponent, piece.count, owned=True), logs


def _norms(rows: Array, exponent: Integers | None) -> Floats:
    """Compute norms over the last axis; rows that are known to be empty are not looked at twice."""
    norms = np.sqrt(np.einsum("...h,...h->...", rows, rows))
    unsure = ~((norms > _TINY) & (norms < 1 / _TINY))
    if exponent is not None:
        unsure &= exponent != NOTHING
    if unsure.any():
        weak = rows[unsure]
        if weak.any():  # not only rows of seeds that are still to come
            norms[unsure] = row_norms(weak)
    return np.asarray(norms)


def entered(pieces: list[Piece], low: int, high: int) -> Integers | None:
    """Give the exponents where the second piece is a new seed on a row of the first that is still empty, else None."""
    if len(pieces) != 2:
        return None
    one, other = sorted(pieces, key=lambda piece: -piece.count)
    if (one.low, one.high) != (low, high) or one.exponent is None or other.exponent is not None or other.count != 1:
        return None
    row = other.low - low
    if (one.exponent[row] != NOTHING).any():
        return None
    exponent = one.exponent.copy()
    exponent[row] = 0
    return exponent


def aligned(pieces: list[Piece], low: int, high: int) -> tuple[list[Piece], Integers]:
    """Bring pieces to common exponents: in each row the largest."""
    width = max(piece.exponent.shape[1] for piece in pieces if piece.exponent is not None)
    own = []
    for piece in pieces:
        table = np.full((high - low, width), NOTHING, dtype=np.int64)
        table[piece.low - low : piece.high - low] = 0 if piece.exponent is None else piece.exponent
        own.append(table)
    top = np.maximum.reduce(own)
    if any(bool(((top - table > 900) & (table != NOTHING)).any()) for table in own):
        for piece, table in zip(pieces, own, strict=True):  # far apart: do not align to rows that hold nothing
            table[piece.low - low : piece.high - low][_empty_rows(piece, width)] = NOTHING
        top = np.maximum.reduce(own)
    aligned = []
    for piece, table in zip(pieces, own, strict=True):
        shift = np.where(table == NOTHING, 0, table - top)[piece.low - low : piece.high - low]
        aligned.append(_scaled(piece, shift) if shift.any() else piece)
    return aligned, top


def _scaled(piece: Piece, shift: Integers) -> Piece:
    """Multiply rows by 2 ** shift, (seeds, samples) or (seeds, 1); only rows that it changes are touched."""
    array = _array(piece.part)
    array = array if piece.owned and array.flags.writeable else array.copy()
    seeds = np.flatnonzero(shift.any(axis=1))
    factor = np.ldexp(1.0, np.maximum(shift[seeds], -4000).astype(np.int32))
    array[seeds] *= factor.reshape(factor.shape + (1,) * (array.ndim - 2)) if array.ndim > 1 else factor[:, 0]
    return Piece(piece.low, _with(piece.part, array), None, piece.count, owned=not isinstance(piece.part, Slice))


def _array(part: Array | Slice) -> Array:
    return part.array if isinstance(part, Slice) else part


def _with(part: Array | Slice, array: Array) -> Array | Slice:
    """Put another array in the place of a part's own."""
    if isinstance(part, TimeSlice):
        return TimeSlice(part.t, array)
    return Slice(part.index, array) if isinstance(part, Slice) else array


def _empty_rows(piece: Piece, width: int) -> Array:
    array = _array(piece.part)
    kept = array.reshape(len(array), width, -1) if width > 1 else array.reshape(len(array), 1, -1)
    return np.asarray(~kept.any(axis=-1))


def one_exponent(piece: Piece) -> Piece:
    """Give the samples of each seed one exponent, for an op that mixes samples."""
    if piece.exponent is None or piece.exponent.shape[1] == 1:
        return piece
    top = piece.exponent.max(axis=1, keepdims=True)
    scaled = _scaled(piece, piece.exponent - top)
    return Piece(piece.low, scaled.part, top, piece.count, owned=True)


def padded(exponent: Integers | None, low: int, high: int, new_low: int, new_high: int) -> Integers | None:
    """Widen exponents from the seeds `low ..` to those from `new_low` on."""
    if exponent is None:
        return None
    table = np.full((new_high - new_low, exponent.shape[1]), NOTHING, dtype=np.int64)
    table[low - new_low : high - new_low] = exponent
    return table
