"""How far a walk is, whatever the source.

In: the facts of the recurrences. Out: what is to be told of every step that was walked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rnngraph.measure.recording import Facts
from rnngraph.progress import tell


def counter(facts: Sequence[Facts]) -> Callable[[int, str, int], None]:
    """Count steps, given by recurrence and kind: a step is one of the first state of a recurrence."""
    first = [next(iter(one.states)) for one in facts]
    total, done = sum(one.timesteps for one in facts), 0

    def count(recurrence: int, kind: str, steps: int) -> None:
        nonlocal done
        if steps and kind == first[recurrence]:
            done += steps
            tell(done, total)

    return count
