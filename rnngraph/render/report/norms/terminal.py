"""The norms of a trace as tables, one line a timestep, and the sentences that sum them up.

In comes a trace, out comes something that a rich console can print, at the width and in the characters that
it has. Nothing is printed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.errors import InputError
from rnngraph.graph.build.graph import sizes
from rnngraph.graph.steps import Steps
from rnngraph.graph.style.palette import Scale
from rnngraph.nearest import check_known
from rnngraph.render.report.norms.entries import Entry, entries_of
from rnngraph.render.report.norms.norms_table import Page, comparison_tables, state_table
from rnngraph.render.report.norms.norms_text import summary, summary_table
from rnngraph.render.report.text import printable, scale_over
from rnngraph.trace.model import StateTrace, Trace

FULL_TABLES = 2  # more states than this are compared side by side, by their gradient alone


@dataclass(frozen=True, slots=True)
class NormsReport:
    """What `rnngraph norms --table` prints below its heading; give it to a rich console."""

    trace: Trace
    entries: tuple[Entry, ...]
    states: tuple[StateTrace, ...]
    side_by_side: bool
    scale: Scale  # one for all states, so that their bars can be compared

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        page = Page(width=options.max_width, ascii_only=options.ascii_only)
        if self.side_by_side:
            for table in comparison_tables(self.trace, self.states, entries=self.entries, scale=self.scale, page=page):
                yield table
                yield Text()
            yield summary_table(self.trace, self.states)
            return
        for state in self.states:
            yield state_table(self.trace, state, entries=self.entries, scale=self.scale, page=page)
            yield Text()
        yield from (summary(self.trace, state) for state in self.states)


def norms_report(trace: Trace, *, steps: Steps = None, states: Sequence[str] | None = None) -> NormsReport:
    """Prepare the report of a trace's gradient norms for a rich console.

    Args:
        trace: what to report on.
        steps: the timesteps to show, such as `"10:20"` or `"all"`; by default all of a short sequence, both
            ends of a long one.
        states: names of the states to show in full; by default all, side by side if there are more than two.

    Raises:
        InputError: there is no such step or state in the trace, or it has no timestep at all.
    """
    if trace.timesteps < 1 or not trace.states:
        raise InputError("the trace has no timestep of a recurrent state, so there are no norms to show.")
    check_known(states or (), [state.name for state in trace.states], "there is no state {} in the trace: choose among")
    chosen = tuple(state for state in trace.states if states is None or state.name in states)
    scale = scale_over([part.log10 for state in chosen for part in (state.grad, state.initial)])
    several = states is None and len(chosen) > FULL_TABLES
    return NormsReport(trace, tuple(entries_of(trace.timesteps, steps)), chosen, several, scale)


def heading(trace: Trace, more: str = "") -> str:
    """Name the model, its sizes and its loss in a line."""
    loss = f"{trace.loss:.4g}"
    if math.isnan(trace.loss):
        loss = "not finite" if "forward" in trace.graph.first_nonfinite() else "not observed"
    parts = (printable(trace.model), *sizes(trace), f"loss {loss}", more)
    return " · ".join(part for part in parts if part)
