"""Callbacks of a walk that also tell how far it is.

In: who takes what a walk lends, and how many steps there are in all recurrences. Out: the same, counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.measure.recording import Facts, Reduced, See, Take, Window
from rnngraph.progress import tell
from rnngraph.trace.magnitudes import Floats


def counted_windows(take: Take, total: int) -> Take:
    """Tell how many steps were lent."""
    done = 0

    def counted(window: Window | Reduced) -> None:
        nonlocal done
        take(window)
        if isinstance(window, Window):
            steps = window.steps
            done += steps.stop - steps.start if isinstance(steps, slice) else len(steps)
            tell(done, total)

    return counted


def counted_states(see: See, facts: Sequence[Facts], total: int) -> See:
    """Tell how many steps were walked, by the first state of each recurrence."""
    first, done = [next(iter(one.states)) for one in facts], 0

    def counted(number: int, kind: str, t: int, low: int, norms: Floats) -> None:
        nonlocal done
        see(number, kind, t, low, norms)
        if t >= 0 and kind == first[number]:
            done += 1
            tell(done, total)

    return counted
