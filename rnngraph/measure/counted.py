"""Callbacks of a walk that also tell how far it is, whatever the source.

In: who takes what a walk lends, and the facts of the recurrences. Out: the same, counted: a step is one of the first
state of a recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.measure.recording import Facts, Reduced, See, Take, Window
from rnngraph.progress import tell
from rnngraph.trace.magnitudes import Floats


def counted_windows(take: Take, facts: Sequence[Facts]) -> Take:
    """Tell how many steps were lent."""
    first, total, done = _first(facts), _steps(facts), 0

    def counted(window: Window | Reduced) -> None:
        nonlocal done
        take(window)
        if isinstance(window, Reduced):
            done += len(window.samples) if window.kind == first[window.recurrence] else 0
        else:
            done += len(np.arange(facts[window.recurrence].timesteps)[window.steps])
        tell(done, total)

    return counted


def counted_states(see: See, facts: Sequence[Facts]) -> See:
    """Tell how many steps were walked."""
    first, total, done = _first(facts), _steps(facts), 0

    def counted(number: int, kind: str, t: int, low: int, norms: Floats) -> None:
        nonlocal done
        see(number, kind, t, low, norms)
        if t >= 0 and kind == first[number]:
            done += len(norms) if norms.ndim == 3 else 1
            tell(done, total)

    return counted


def _first(facts: Sequence[Facts]) -> list[str]:
    return [next(iter(one.states)) for one in facts]


def _steps(facts: Sequence[Facts]) -> int:
    return sum(one.timesteps for one in facts)
