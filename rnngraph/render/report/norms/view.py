"""The norms of a trace as a person first sees them: the three lines, a row a state seen from one loss, and the lags.

In comes a trace and what is seen from one of its losses, out comes something that a rich console can print. The table
of every step, which is of the sum over all losses, is `norms/terminal.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.sentences import counted
from rnngraph.render.report.headline import Headline
from rnngraph.render.report.norms.norms_text import remarks
from rnngraph.render.report.norms.terminal import NormsReport, heading
from rnngraph.render.report.seen.chart import SeenRows
from rnngraph.render.report.seen.lag_table import LagTable
from rnngraph.render.report.text import NOTE_STYLE, printable, spelled, wrapped
from rnngraph.trace.model import Trace


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
        yield SeenRows(self.trace, seen)
        yield from map(Text, gate_lines(self.trace))
        yield LagTable(seen)
        yield Text()
        other = another_loss(self.trace, seen)
        hint = "Every step as a table: --table." + ("" if other is None else f" Another loss: --from {other}.")
        yield Text(hint, style="dim")


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
