"""Rows of bars for a rich console, as wide as it is and no wider: of one loss over the steps, or of many by lag.

In: rows, and what their bars are. Out: rich texts, a line each. Where a line has less room than there are steps, a
character is the smallest of several, so that no gap is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.sentences import amount_text, power
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.style.left import FLOOR, floor_of
from rnngraph.render.report.seen.fitting import Layout, fitting, layout_of
from rnngraph.render.report.seen.sparklines import Row, Spans, Sum, character, row_of, smallest, style, sum_of
from rnngraph.render.report.text import printable, spelled
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class BarRows:
    """Rows with their heading over them and places under them; give it to a rich console."""

    rows: Sequence[Row]
    heading: str  # what the bars are
    names: str = "state"  # what the names of the rows are
    first: str = "t=0"  # what stands under the first bar
    labels: Sequence[str | None] = ()  # words of the steps
    floor: float = FLOOR
    total: Sum | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the rows out for the width and the characters of a console."""
        ends = axis_of(np.concatenate([row.decades for row in self.rows]), self.floor)
        low, high = ends.low, math.ceil(ends.high)
        scale = "log, " + " to ".join("1" if end == 0 else f"1e{end:.0f}" for end in (low, high))
        layout = layout_of(
            self.rows, self.labels, names=self.names, start=self.heading, scale=scale, width=options.max_width
        )
        ascii_only = options.ascii_only
        for line in (
            layout.line(self.names, Text(layout.title), layout.heading),
            *_row_lines(layout, self.rows, low, high, ascii_only=ascii_only),
            *_sum_lines(layout, self.total, ascii_only=ascii_only),
            layout.axis(self.first),
        ):
            line.no_wrap, line.overflow = True, "ellipsis"
            line.plain = spelled(line.plain, ascii_only=ascii_only)
            line.rstrip()
            yield line


def seen_rows(trace: Trace, seen: OneLoss, *, with_sum: bool = True) -> BarRows:
    """Make a row a state, the topmost layer first, and one of the sum over all losses."""
    rows, total = [row_of(walk) for walk in seen.downwards], sum_of(trace, seen) if with_sum else None
    heading, floor = f"from the loss at t={seen.timestep}", floor_of(trace.dtype)
    return BarRows(rows, heading, labels=trace.labels, floor=floor, total=total)


def _row_lines(layout: Layout, rows: Sequence[Row], low: float, high: float, *, ascii_only: bool) -> Iterator[Text]:
    for row, end in zip(rows, layout.ends, strict=True):
        values = smallest(_padded(row.decades, layout.spans), layout.spans)
        marks = [(character(one, low, high, ascii_only=ascii_only), style(one)) for one in values]
        yield layout.line(printable(row.name), layout.bar(marks), end)


def _sum_lines(layout: Layout, total: Sum | None, *, ascii_only: bool) -> Iterator[Text]:
    """Show the sum as every picture does that has it: linear, the largest as high as there is room."""
    if total is None:
        return
    start = f"sum over all {total.losses} losses"
    short, said = ("flat", "flat, says nothing about reach") if total.flat else (_extent(total), _extent(total))
    yield layout.line("", Text(fitting(layout.beside, f"{start} (linear): {said}", f"{start}: {short}"), style="dim"))
    shares = 10 ** (_padded(total.values, layout.spans) - total.known.max())
    values = smallest(shares, layout.spans)
    marks = [(character(one, 0.0, 1.0, ascii_only=ascii_only), "dim") for one in values]
    yield layout.line(printable(total.name), layout.bar(marks))


def _extent(total: Sum) -> str:
    ends = [float(one) for one in (total.known.min(), total.known.max())]
    low, high = (power(one) if abs(one) > 300 else amount_text(10**one) for one in ends)
    return low if low == high else f"{low} to {high}"


def _padded(values: Floats, spans: Spans) -> Floats:
    return np.append(values, np.full(spans[-1][1] - len(values), np.nan))
