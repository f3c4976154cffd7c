"""Which columns the picture has: shown steps one by one, everything between them as one fold.

The work depends on the number of shown steps and ranges only, never on the length of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from rnngraph.graph.build.tracks import is_observed
from rnngraph.graph.model import Column
from rnngraph.graph.steps import Ranges, gaps
from rnngraph.trace.magnitudes import Integers
from rnngraph.trace.model import REVERSE, Trace


def unrolled_columns(trace: Trace, ranges: Ranges) -> tuple[Column, ...]:
    """Return a column a shown step and one a gap, in the order of time, with the initial states on their sides."""
    spans = sorted((*((pair, True) for pair in ranges), *((pair, False) for pair in gaps(ranges, trace.timesteps))))
    columns: list[Column] = []
    for (start, stop), shown in spans:
        # A fold that hides one step hides more than it saves.
        if shown or stop - start == 1:
            columns.extend(_steps(trace, start, stop))
        else:
            columns.append(Column("fold", ((start, stop),)))
    return with_initial(trace, columns)


def loop_columns(trace: Trace, ranges: Ranges) -> tuple[Column, ...]:
    """Return the single column of a rolled view, which stands for all of `ranges`, and the initial states."""
    return with_initial(trace, [Column("loop", ranges)])


def with_initial(trace: Trace, columns: Iterable[Column]) -> tuple[Column, ...]:
    """Put the initial states on their sides; the right ones are told from the left by not being the first column."""
    columns = tuple(columns)
    left, right = initial_sides(trace, rolled=columns[0].kind == "loop")
    initial = Column("initial", ())
    return (*([initial] if left else []), *columns, *([initial] if right else []))


def initial_sides(trace: Trace, *, rolled: bool) -> tuple[bool, bool]:
    """Say whether there are initial states before the first and after the last step.

    Those of a shorter recurrence that runs in reverse stand in the column behind its own end, unless there is but one.
    """
    observed = [state for state in trace.states if is_observed(state)]
    last = [rolled or trace.recurrence_of(state).timesteps == trace.timesteps for state in observed]
    return any(state.direction != REVERSE for state in observed), any(
        state.direction == REVERSE and at_end for state, at_end in zip(observed, last, strict=True)
    )


def valid_samples(trace: Trace, start: int, stop: int) -> Integers:
    """Count the samples that are not padding at every timestep, in whichever recurrence has the most."""
    masks = [one.valid for one in trace.recurrences] or [trace.valid]
    counts = np.zeros((len(masks), stop - start), dtype=np.int64)
    for number, valid in enumerate(masks):
        found = valid[:, start:stop].sum(axis=0)
        counts[number, : len(found)] = found
    return np.asarray(counts.max(axis=0))


def _steps(trace: Trace, start: int, stop: int) -> Iterator[Column]:
    valid = valid_samples(trace, start, stop).tolist()
    for step in range(start, stop):
        yield Column("step", ((step, step + 1),), trace.labels[step], valid[step - start])
