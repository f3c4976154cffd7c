"""Which columns the picture has: shown steps one by one, everything between them as one fold.

The work depends on the number of shown steps and ranges only, never on the length of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnngraph.graph.bands import is_observed
from rnngraph.graph.model import Column
from rnngraph.graph.steps import Ranges, gaps
from rnngraph.trace.model import REVERSE, Trace


def unrolled_columns(trace: Trace, ranges: Ranges) -> tuple[Column, ...]:
    """Return a column a shown step and one a gap, in the order of time, with the initial states on their sides."""
    whole = sorted((*((pair, True) for pair in ranges), *((pair, False) for pair in gaps(ranges, trace.timesteps))))
    columns: list[Column] = []
    for (start, stop), shown in whole:
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
    left, right = initial_sides(trace)
    initial = Column("initial", ())
    return (*([initial] if left else []), *columns, *([initial] if right else []))


def initial_sides(trace: Trace) -> tuple[bool, bool]:
    """Say whether there are initial states before the first and after the last step."""
    directions = [state.direction for state in trace.states if is_observed(state.initial)]
    return any(one != REVERSE for one in directions), REVERSE in directions


def _steps(trace: Trace, start: int, stop: int) -> Iterator[Column]:
    valid = trace.valid[:, start:stop].sum(axis=0).tolist()
    for step in range(start, stop):
        yield Column("step", ((step, step + 1),), trace.labels[step], valid[step - start])
