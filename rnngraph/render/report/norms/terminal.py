"""The norms of a trace for a rich console: the three lines, and a row a state seen from one loss, or tables of the sum.

In comes a trace, out comes something that a rich console can print, at the width and in the characters that
it has. Nothing is printed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.sentences import counted
from rnngraph.errors import InputError
from rnngraph.graph.build.fold import unrolled_columns
from rnngraph.graph.build.graph import sizes
from rnngraph.graph.model import Column
from rnngraph.graph.steps import Steps, parse_steps
from rnngraph.graph.style.palette import fitted
from rnngraph.graph.summary import overall
from rnngraph.nearest import check_known
from rnngraph.render.report.norms.norms_table import state_table
from rnngraph.render.report.norms.norms_text import remarks, summary
from rnngraph.render.report.seen.chart import seen_rows
from rnngraph.render.report.seen.lag_table import LagTable
from rnngraph.render.report.text import NOTE_STYLE, Headline, printable, spelled, wrapped
from rnngraph.trace.model import StateTrace, Trace

SHOWN_WHOLE = 40  # a terminal has more room for steps than a picture has
ENDS = "0:12,-12:"


@dataclass(frozen=True, slots=True)
class NormsReport:
    """What `rnngraph norms --table` prints below its heading; give it to a rich console."""

    trace: Trace
    columns: tuple[Column, ...]
    states: tuple[StateTrace, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        # One scale for all states, so that their bars can be compared.
        scale = fitted(overall([part for state in self.states for part in (state.grad, state.initial)]))
        width, ascii_only = options.max_width, options.ascii_only
        for state in self.states:
            yield state_table(self.trace, state, columns=self.columns, scale=scale, width=width, ascii_only=ascii_only)
            yield Text()
        yield from (summary(self.trace, state) for state in self.states)


def norms_report(trace: Trace, *, steps: Steps = None, states: Sequence[str] | None = None) -> NormsReport:
    """Prepare the report of a trace's gradient norms for a rich console.

    Args:
        trace: what to report on.
        steps: the timesteps to show, such as `"10:20"` or `"all"`; by default all of a short sequence, both
            ends of a long one.
        states: names of the states to show; by default all.

    Raises:
        InputError: there is no such step or state in the trace, or it has no timestep at all.
    """
    if trace.timesteps < 1 or not trace.states:
        raise InputError("the trace has no timestep of a recurrent state, so there are no norms to show.")
    check_known(states or (), [state.name for state in trace.states], "there is no state {} in the trace: choose among")
    chosen = tuple(state for state in trace.states if states is None or state.name in states)
    if steps is None:
        steps = "all" if trace.timesteps <= SHOWN_WHOLE else ENDS
    columns = unrolled_columns(trace, parse_steps(steps, trace.timesteps))
    return NormsReport(trace, columns, chosen)


@dataclass(frozen=True, slots=True)
class NormsView:
    """What `rnngraph norms` prints; give it to a rich console."""

    trace: Trace
    shown: OneLoss | NormsReport  # rows, or the table of the sum over all

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        trace, shown, sentences = self.trace, self.shown, headline_of(self.trace)
        if sentences is not None:
            yield Headline(sentences)
        median = f"median of {counted(shown.samples, 'sample')}" if isinstance(shown, OneLoss) else ""
        yield from wrapped(
            spelled(heading(trace, median), ascii_only=options.ascii_only), console, options.max_width, "dim"
        )
        yield Text()
        if isinstance(shown, OneLoss):
            yield from self._rows(shown)
        else:
            yield shown
            if not trace.lags:
                note = f"Note: This is the sum over all losses: {no_lags(trace)}"
                yield from wrapped(note, console, options.max_width, NOTE_STYLE)
        for remark in remarks(trace):
            yield from wrapped(f"Note: {remark}", console, options.max_width, NOTE_STYLE)

    def _rows(self, seen: OneLoss) -> Iterator[RenderableType]:
        yield seen_rows(self.trace, seen)
        yield from map(Text, gate_lines(self.trace))
        yield LagTable(seen)
        yield Text()
        other = another_loss(self.trace, seen)
        hint = "Every step as a table: --table." + ("" if other is None else f" Another loss: --from {other}.")
        yield Text(hint, style="dim")


def heading(trace: Trace, more: str = "") -> str:
    """Name the model, its sizes and its loss in a line."""
    loss = f"{trace.loss:.4g}"
    if math.isnan(trace.loss):
        loss = "not finite" if "forward" in trace.graph.first_nonfinite() else "not observed"
    parts = (printable(trace.model), *sizes(trace), f"loss {loss}", more)
    return " · ".join(part for part in parts if part)


def another_loss(trace: Trace, seen: OneLoss) -> int | None:
    """Find another loss that was measured, from the middle and a round one by choice; None where there is none."""
    others = [int(t) for t in trace.lags[0].losses if t != seen.timestep]
    middle = others[len(others) // 4 : 1 + 3 * len(others) // 4]
    return max(middle, key=lambda t: (t % 10 == 0, -abs(t - seen.timestep / 2)), default=None)


def gate_lines(trace: Trace) -> Iterator[str]:
    """Say how far open the gates stand that keep the states, a line a kind of cell."""
    said: dict[str, list[tuple[str, float]]] = {}
    for gate in trace.gates:
        cell, recurrence = trace.cell_of(gate), trace.recurrence_of(gate)
        mean = gate.mean[: recurrence.timesteps][recurrence.valid.any(axis=0)]
        if gate.gate == cell.keeps and np.isfinite(mean).any():
            said.setdefault(cell.keeps_title, []).append((recurrence.name, float(np.nanmean(mean))))
    for title, means in said.items():
        if len(means) == 1:
            listed = f"{means[0][1]:.2f}"
        else:
            listed = ", ".join(f"{printable(name)} {mean:.2f}" for name, mean in means[:4])
            listed += f" and {len(means) - 4} more" if len(means) > 4 else ""
        yield f"{title} {listed} on average; 1 would keep everything"
