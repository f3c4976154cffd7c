"""One number that a picture shows, or the range of many: magnitudes and plain shares become a `Summary`.

In come slices of a trace's columns, out go frozen values that say what is known and how it reads as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.trace.magnitudes import Floats, Magnitudes, Status

if TYPE_CHECKING:
    from rnngraph.graph.model import Column

STATUS_TEXT = {
    Status.OK: "ok",
    Status.ZERO: "0",
    Status.UNDERFLOW: "underflow",
    Status.NONFINITE: "not finite",
    Status.UNOBSERVED: "not observed",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """The magnitude of one thing, or of the several steps that one vertex stands for.

    `low` and `high` are the smallest and largest known value (equal for a single one, NaN where none is
    known); `counts` says how many steps have each status, in the order of `Status`.
    """

    low: float
    high: float
    counts: tuple[int, int, int, int, int]

    @property
    def status(self) -> Status:
        """The status to show: non-finite first, then what is known, then underflow, zero, unobserved."""
        return next((status for status in _FROM_ABOVE if self.counts[status]), Status.UNOBSERVED)

    @property
    def lowest(self) -> Status:
        """The status of the smallest: zero is less than what underflowed, and that less than any number."""
        return next((status for status in reversed(_FROM_ABOVE) if self.counts[status]), Status.UNOBSERVED)

    @property
    def log10(self) -> float:
        """The decimal logarithm of the largest known value, NaN where none is known."""
        return math.log10(self.high) if self.high > 0 else math.nan

    @property
    def text(self) -> str:
        """The value, the range, or the status in words."""
        if self.status is not Status.OK:
            return STATUS_TEXT[self.status]
        # A range must not hide the steps at which the gradient has died.
        low = short(self.low) if self.lowest is Status.OK else STATUS_TEXT[self.lowest]
        high = short(self.high)
        return low if low == high else f"{low} … {high}"


def summarise(magnitudes: Magnitudes, index: Any = ...) -> Summary:
    """Summarise the magnitudes that `index` selects."""
    return _summary(np.atleast_1d(magnitudes.value[index]), np.atleast_1d(magnitudes.status[index]))


def at_column(magnitudes: Magnitudes, column: Column) -> Summary | None:
    """Summarise the timesteps that one column stands for; None where it has none."""
    return summarise(magnitudes, column.index) if column.ranges else None


def overall(magnitudes: Sequence[Magnitudes]) -> Summary:
    """Summarise all of several magnitudes: the range of a colour scale."""
    if not magnitudes:
        return UNKNOWN
    value = np.concatenate([np.atleast_1d(one.value) for one in magnitudes])
    status = np.concatenate([np.atleast_1d(one.status) for one in magnitudes])
    return _summary(value, status)


def _summary(value: Floats, status: np.ndarray[Any, Any]) -> Summary:
    """Summarise values `(k,)` with their statuses `(k,)`."""
    if len(status) == 1:  # the common case by far; plain Python is several times faster than NumPy here
        one = int(status[0])
        number = float(value[0]) if one == Status.OK else math.nan
        return Summary(number, number, _ONE[one])
    known = value[status == Status.OK]
    counts = np.bincount(status, minlength=5)
    low, high = (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)
    return Summary(low, high, (int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3]), int(counts[4])))


def summarise_plain(value: Floats, index: Any = ...) -> Summary:
    """Summarise plain numbers, in which NaN means not observed (a share of saturated units, a gain)."""
    chosen = np.atleast_1d(value[index])
    status = np.where(np.isnan(chosen), Status.UNOBSERVED, np.where(chosen == 0, Status.ZERO, Status.OK))
    status = np.where(np.isinf(chosen), Status.NONFINITE, status)
    return _summary(chosen, status.astype(np.uint8))


def short(value: float) -> str:
    """Write a number in at most seven characters: `0.31`, `12`, `3.2e-7`."""
    if 0.01 <= abs(value) < 1000 or value == 0:
        return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"  # from there on two digits would be 1e+02
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


_FROM_ABOVE = (Status.NONFINITE, Status.OK, Status.UNDERFLOW, Status.ZERO)
_ONE = ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1))
UNKNOWN = Summary(math.nan, math.nan, _ONE[Status.UNOBSERVED])
