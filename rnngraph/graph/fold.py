"""Which columns the picture has: shown steps one by one, everything between them as one fold.

The work depends on the number of shown steps and ranges only, never on the length of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.graph.model import Column
from rnngraph.graph.steps import Ranges, gaps
from rnngraph.trace.model import Trace


def unrolled_columns(trace: Trace, ranges: Ranges, *, left: bool, right: bool) -> tuple[Column, ...]:
    """Return a column a shown step and one a gap, in the order of time.

    `left` and `right` ask for a place for initial states before the first and after the last step.
    """
    whole = sorted((*((pair, True) for pair in ranges), *((pair, False) for pair in gaps(ranges, trace.timesteps))))
    columns: list[Column] = [Column("initial", ())] if left else []
    for (start, stop), shown in whole:
        # A fold that hides one step hides more than it saves.
        if shown or stop - start == 1:
            columns.extend(_steps(trace, start, stop))
        else:
            columns.append(Column("fold", ((start, stop),)))
    return (*columns, Column("initial", ())) if right else tuple(columns)


def loop_columns(ranges: Ranges, *, left: bool, right: bool) -> tuple[Column, ...]:
    """Return the single column of a rolled view, which stands for all of `ranges`."""
    initial = Column("initial", ())
    return (*([initial] if left else []), Column("loop", ranges), *([initial] if right else []))


def _steps(trace: Trace, start: int, stop: int) -> Iterator[Column]:
    valid = trace.valid[:, start:stop].sum(axis=0).tolist()
    for step in range(start, stop):
        yield Column("step", ((step, step + 1),), trace.labels[step], valid[step - start])
