"""The curve of a loss over kept context, and the lag in use, of whatever can be run with its state reset.

In: a function that gives the loss with so much of the past, once a lag. Out: a `ContextTrace`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.progress import tell
from rnngraph.trace.magnitudes import Integers
from rnngraph.trace.used_past import UNUSED, ContextTrace

TOLERANCE = 0.05  # of the largest excess, up to which a loss is near the full one
_SPREAD = 4  # steps from which resets are counted

Losses = tuple[float, float, int]  # with so much of the past, with all of it, and of how many steps and samples
At = Callable[[int], Losses]


def measure_context(at: At, steps: Integers, *, model: str, timesteps: int, most: int | None) -> ContextTrace:
    """Measure 0, 1, 2, 4, ... kept steps, and search the lag in use between two of them.

    Args:
        at: measures at a lag.
        steps: the timesteps of losses, ascending.
        model: what was run, for display.
        timesteps: how many there are.
        most: the longest context that is tried; by default all that the sequence has.

    Raises:
        InputError: `most` is no whole number above 0, or no loss has two steps before it.
    """
    longest = int(steps.max()) - 1
    if most is not None:
        longest = min(longest, whole_number(most, "most", least=1))
    if longest < 1:
        raise InputError("no loss has two steps before it, so that no past can be left out; run a longer sequence.")
    known: dict[int, Losses] = {}

    def once(lag: int) -> Losses:
        if lag not in known:
            known[lag] = at(lag)
        return known[lag]

    lags = [0, *(2**power for power in range(longest.bit_length()) if 2**power < longest), longest]
    for number, lag in enumerate(lags, start=1):
        tell(number, len(lags), "length")
        once(lag)
    in_use = _first_near(once, known, lags)
    found = np.array(sorted(known), np.int64)
    kept, full, counts = (np.array([known[lag][k] for lag in found.tolist()]) for k in range(3))
    return ContextTrace(model, timesteps, found, kept, full, counts.astype(np.int64), in_use, TOLERANCE)


def phases(steps: Integers, lag: int) -> list[int]:
    """Say from where chunks of `lag + 1` steps are counted, so that losses spread over the sequence end one of them."""
    later = steps[steps > lag]
    chosen = later[np.linspace(0, len(later) - 1, min(_SPREAD, len(later))).round().astype(int)]
    return sorted({int(s - lag) % (lag + 1) for s in chosen})


def exact(steps: Integers, lag: int, phase: int) -> Integers:
    """Choose the losses that have exactly so much of the past where chunks are counted from `phase`."""
    return np.asarray(steps[(steps > lag) & ((steps - phase - lag) % (lag + 1) == 0)])


def _first_near(at: At, known: dict[int, Losses], lags: list[int]) -> int | None:
    """Find the least lag from which on the loss is near the full one, by bisection between those of a list."""
    largest = max(at(lag)[0] - at(lag)[1] for lag in lags)
    if not largest > UNUSED * max(*(abs(one[1]) for one in known.values()), 1e-300):
        return 0

    def near(lag: int) -> bool:
        kept, whole, _ = at(lag)
        return kept - whole <= TOLERANCE * largest

    far = [lag for lag in lags if not near(lag)]
    if far[-1] == lags[-1]:
        return None
    low, high = far[-1], lags[lags.index(far[-1]) + 1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if near(middle) else (middle, high)
    return high
