"""The rows of one loss for a rich console, as wide as it is and no wider.

In: a trace and what is seen from one of its losses. Out: rich texts, a line each.
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
from rnngraph.graph.style.left import floor_of
from rnngraph.render.report.seen.fitting import Layout, fitting, layout_of
from rnngraph.render.report.seen.levels import Spans, character, smallest, style
from rnngraph.render.report.seen.sparklines import Row, Sum, row_of, sum_of
from rnngraph.render.report.text import printable, spelled
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import Trace

_FAR = 20  # times between the ends of a sum, from which on it is shown in decades


@dataclass(frozen=True, slots=True)
class SeenRows:
    """A line a state, the topmost layer first, and the sum over all losses; give it to a rich console."""

    trace: Trace
    seen: OneLoss
    with_sum: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the rows out for the width and the characters of a console."""
        rows = [row_of(walk) for walk in self.seen.downwards]
        total = sum_of(self.trace, self.seen) if self.with_sum else None
        ends = axis_of(np.concatenate([row.decades for row in rows]), floor_of(self.trace.dtype))
        low, high = ends.low, math.ceil(ends.high)
        scale = "log, " + " to ".join("1" if end == 0 else f"1e{end:.0f}" for end in (low, high))
        start = f"from the loss at t={self.seen.timestep}"
        layout = layout_of(rows, self.trace.labels, start=start, scale=scale, width=options.max_width)
        ascii_only = options.ascii_only
        for line in (
            layout.line("state", Text(layout.title), layout.heading),
            *_row_lines(layout, rows, low, high, ascii_only=ascii_only),
            *_sum_lines(layout, total, ascii_only=ascii_only),
            layout.axis(),
        ):
            line.no_wrap, line.overflow = True, "ellipsis"
            line.plain = spelled(line.plain, ascii_only=ascii_only)
            line.rstrip()
            yield line


def _row_lines(layout: Layout, rows: Sequence[Row], low: float, high: float, *, ascii_only: bool) -> Iterator[Text]:
    for row, end in zip(rows, layout.ends, strict=True):
        values = smallest(_padded(row.decades, layout.spans), layout.spans)
        marks = [(character(one, low, high, ascii_only=ascii_only), style(one)) for one in values]
        yield layout.line(printable(row.name), layout.bar(marks), end)


def _sum_lines(layout: Layout, total: Sum | None, *, ascii_only: bool) -> Iterator[Text]:
    if total is None:
        return
    known = total.known
    linear = np.ptp(known) < math.log10(_FAR)
    start, scale = f"sum over all {total.losses} losses", f" ({'linear' if linear else 'log'})"
    extent = _extent(total)
    texts = [f"{start}{scale}: {extent}", f"{start}: {extent}", start]
    if total.flat:
        said = "says nothing about reach"
        texts = [f"{start}{scale}: flat at {extent}, {said}", f"{start}{scale}: flat, {said}", f"{start}: flat"]
    yield layout.line("", Text(fitting(layout.beside, *texts), style="dim"))
    values = smallest(_padded(total.values, layout.spans), layout.spans)
    low, high = (0.0, 10.0 ** float(known.max())) if linear else (float(known.min()), float(known.max()))
    shown = [10.0**one if linear else one for one in values]
    marks = [(character(one, low, high, ascii_only=ascii_only), "dim") for one in shown]
    yield layout.line(printable(total.name), layout.bar(marks))


def _extent(total: Sum) -> str:
    ends = [float(one) for one in (total.known.min(), total.known.max())]
    low, high = (power(one) if abs(one) > 300 else amount_text(10**one) for one in ends)
    return low if low == high else f"{low} to {high}"


def _padded(values: Floats, spans: Spans) -> Floats:
    return np.append(values, np.full(spans[-1][1] - len(values), np.nan))
