"""Callbacks of a walk that also tell how far it is, whatever the source.

In: who takes what a walk lends, and the facts of the recurrences. Out: the same, counted: a step is one of the first
state of a recurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rnngraph.measure.recording import Facts, Reduced, See, Take, Window
from rnngraph.progress import tell
from rnngraph.trace.magnitudes import Floats


def counted_windows(take: Take, facts: Sequence[Facts]) -> Take:
    """Tell how many steps were lent."""
    first, count = _first(facts), _counter(facts)

    def counted(window: Window | Reduced) -> None:
        take(window)
        if isinstance(window, Reduced):
            count(len(window.samples) if window.kind == first[window.recurrence] else 0)
        else:
            count(len(next(iter(window.values.values()))))

    return counted


def counted_states(see: See, facts: Sequence[Facts]) -> See:
    """Tell how many steps were walked."""
    first, count = _first(facts), _counter(facts)

    def counted(number: int, kind: str, t: int, low: int, norms: Floats) -> None:
        see(number, kind, t, low, norms)
        if t >= 0 and kind == first[number]:
            count(len(norms) if norms.ndim == 3 else 1)

    return counted


def _first(facts: Sequence[Facts]) -> list[str]:
    return [next(iter(one.states)) for one in facts]


def _counter(facts: Sequence[Facts]) -> Callable[[int], None]:
    total, done = sum(one.timesteps for one in facts), 0

    def count(steps: int) -> None:
        nonlocal done
        done += steps
        tell(done, total)

    return count
