"""What looking costs a training: the time of the looks, beside all that has passed since the first of them.

In: looks and steps. Out: a sentence, once, where it has become much.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

_MUCH = 0.2  # of the time that the training has taken
_LEAST = 20.0  # seconds, under which nobody minds
_WANTED = 0.05  # of the time of the steps


class Cost:
    """Counts seconds; the first look is not counted, in which much is imported and made ready."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._begun: float | None = None
        self._spent, self._looks, self._first, self._said = 0.0, 0, 0, False

    @contextlib.contextmanager
    def counted(self, step: int) -> Iterator[None]:
        """Count what is done inside, at a step."""
        start = time.perf_counter()
        yield
        now = time.perf_counter()
        if self._begun is None:
            self._begun, self._first = now, step
        else:
            self._spent += now - start
            self._looks += 1

    def sentence(self, step: int) -> str:
        """Say, once, that looking has taken much of the time up to a step, and how rarely to look."""
        if self._said or self._begun is None or self._spent < _LEAST or step <= self._first:
            return ""
        passed = time.perf_counter() - self._begun
        if self._spent < _MUCH * passed:
            return ""
        self._said = True
        a_look, a_step = self._spent / self._looks, (passed - self._spent) / (step - self._first)
        return (
            f"looking has taken {self._spent:.0f} s of {passed:.0f} s so far; "
            f"every={_round_number(a_look / a_step / _WANTED)} would spend about {_WANTED:.0%} on it"
        )


def _round_number(size: float) -> int:
    """Give the next larger number of one digit and zeros."""
    unit = 10.0 ** math.floor(math.log10(max(size, 1)))
    return round(math.ceil(size / unit) * unit)
