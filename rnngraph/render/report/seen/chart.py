"""Rows of bars for a rich console, as wide as it is and no wider: of one loss over the steps, or of many by lag.

In: rows, and what their bars are. Out: rich texts, a line each. Where a line has less room than there are steps, a
character is the smallest of several, so that no gap is hidden.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from rnngraph.diagnosis.one_loss import OneLoss
from rnngraph.diagnosis.sentences import amount_text
from rnngraph.graph.one_loss.bars import axis_of
from rnngraph.graph.one_loss.strips import Sum, sum_of
from rnngraph.graph.sizes import round_step
from rnngraph.graph.steps import spans_of
from rnngraph.graph.style.left import FLOOR, floor_of
from rnngraph.render.report.seen.sparklines import Row, Spans, character, row_of, smallest, style
from rnngraph.render.report.text import Parts, Report, laid_out, printable
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import Trace

_GAP = 2
_END_GAP = 3
_LEAST = 8  # characters for the steps


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a line, in characters."""

    name: int
    spans: Spans
    widths: Sequence[int]  # of each span
    words: Sequence[str] | None
    heading: str  # what the ends of the rows say, where all say the same
    ends: Sequence[str]
    title: str
    bars: int  # up to the ends
    beside: int  # from the bars to the right end of the line

    def line(self, name: str, bars: Text, end: str = "") -> Text:
        """Set a line: its name, its bars or what stands in their place, and its end."""
        text = Text(named(name, self.name) + " " * _GAP).append_text(bars)
        return text.append(" " * (self.bars - bars.cell_len + _END_GAP) + end) if end else text

    def bar(self, marks: Sequence[tuple[str, str]]) -> Text:
        """Draw a character a span, as wide as its word."""
        text = Text()
        for place, ((mark, how), width) in enumerate(zip(marks, self.widths, strict=True)):
            gap = 1 if self.words is not None and place < len(self.widths) - 1 else 0
            text.append(mark * (width - gap), style=how).append(" " * gap)
        return text

    def axis(self, first: str) -> Text:
        """Write the words under the bars, or the places, the `first` with its name."""
        line = ticks_line(self.spans, first) if self.words is None else words_line(self.words, self.widths)
        return self.line("", Text(line, style="dim"))


def layout_of(
    rows: Sequence[Row], labels: Sequence[str | None], *, names: str, start: str, scale: str, width: int
) -> Layout:
    """Divide a line of `width` characters; the title is `start`, with the scale where there is room."""
    kinds = {row.end[0] for row in rows}
    heading = kinds.pop() if len(kinds) == 1 else ""
    ends = [row.end[1] if heading else _whole(row) for row in rows]
    name = max(len(names), min(max(cell_len(printable(row.name)) for row in rows), max(width // 5, 10)))
    room = max(width - name - _GAP - _END_GAP - max(map(cell_len, (heading, *ends))), _LEAST)
    count = max(len(row.decades) for row in rows)
    words, spans = words_of(labels[:count], room), spans_of(count, room)
    widths = [1] * len(spans)
    if words is not None:
        widths = [cell_len(word) + 1 for word in words]
        widths[-1] -= 1
    per = max(stop - first for first, stop in spans)
    bins = f"; the least of {per} steps each" if per > 1 and words is None else ""
    title = fitting(room, f"{start} ({scale}{bins})", f"{start} ({scale})", start)
    bars = max(sum(widths), cell_len(title.rstrip()))
    return Layout(name, spans, widths, words, heading, ends, title.rstrip(), bars, width - name - _GAP)


def _whole(row: Row) -> str:
    """Say how a row ends where it says so alone: 1 % at lag 7, 40 % at t=0."""
    what, value = row.end
    return f"{value} {what}" if what.startswith("at ") else f"{what} {value}".strip()


def fitting(width: int, *texts: str) -> str:
    """Choose the first text that fits, the last one cut where none does."""
    return next((text for text in texts if cell_len(text) <= width), fitted(texts[-1], width))


def fitted(text: str, width: int) -> str:
    """Cut or pad a text to a width."""
    if cell_len(text[: width + 1]) <= width and len(text) <= width:
        return text + " " * (width - cell_len(text))
    kept = Text(text[: 4 * width])
    kept.truncate(width, overflow="ellipsis", pad=True)
    return kept.plain


def named(name: str, width: int) -> str:
    """Pad a name, or cut its beginning: its end tells it from its neighbours."""
    if cell_len(name) <= width:
        return fitted(name, width)
    return fitted(name[: -4 * width - 1 : -1], width)[::-1]


LONGEST_WORD = 14  # characters of a line
_APART = 12  # characters between two ticks, at least
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


def words_of(labels: Sequence[str | None], room: int) -> list[str] | None:
    """Give the words of all steps, cut to size; None where there are none, or no line can hold them in their order.

    A terminal turns the order of words around that are written from right to left.
    """
    shown = [_short(label or "") for label in labels]
    if not any(shown) or any(map(_turns, shown)):
        return None
    return shown if sum(cell_len(word) + 1 for word in shown) - 1 <= room else None


def _short(label: str) -> str:
    text = Text(printable(label[: 8 * LONGEST_WORD]).strip())
    text.truncate(LONGEST_WORD, overflow="ellipsis")
    return text.plain


def _turns(word: str) -> bool:
    return any(unicodedata.bidirectional(sign) in _RIGHT_TO_LEFT for sign in word)


def words_line(words: Sequence[str], widths: Sequence[int]) -> str:
    """Set every word under its column."""
    padded = (word + " " * (width - cell_len(word)) for word, width in zip(words, widths, strict=True))
    return "".join(padded).rstrip()


def ticks_line(spans: Spans, first: str) -> str:
    """Write places under their characters: the first, round ones between, and the last, which ends with its row."""
    count, width = spans[-1][1], len(spans)
    last = str(count - 1)
    if count == 1 or width < len(first) + len(last) + 1:
        return first
    line, end = first, width - len(last)
    step = round_step(count * _APART / width)
    for t in range(step, count - 1, step):
        at = next(place for place, (start, stop) in enumerate(spans) if start <= t < stop)
        if at + len(str(t)) + 2 <= end:
            line = line.ljust(at) + str(t)
    return line.ljust(end) + last


@laid_out
def bar_rows(
    width: int, rows: Sequence[Row], heading: str, *, names: str = "state", first: str = "t=0",
    labels: Sequence[str | None] = (), floor: float = FLOOR, total: Sum | None = None,
) -> Parts:  # fmt: skip
    """Set rows under their heading and over their places.

    Args:
        width: of a line, in characters.
        rows: of bars.
        heading: what the bars are.
        names: what the names of the rows are.
        first: what stands under the first bar.
        labels: words of the steps.
        floor: decades at which the bars end.
        total: the sum over all losses, as one more row.
    """
    ends = axis_of(np.concatenate([row.decades for row in rows]), floor)
    low, high = ends.low, math.ceil(ends.high)
    scale = "log, " + " to ".join("1" if end == 0 else f"1e{end:.0f}" for end in (low, high))
    layout = layout_of(rows, labels, names=names, start=heading, scale=scale, width=width)
    for line in (
        layout.line(names, Text(layout.title), layout.heading),
        *_row_lines(layout, rows, low, high),
        *_sum_lines(layout, total),
        layout.axis(first),
    ):
        line.no_wrap, line.overflow = True, "ellipsis"
        line.rstrip()
        yield line


def seen_rows(trace: Trace, seen: OneLoss, *, with_sum: bool = True) -> Report:
    """Make a row a state, the topmost layer first, and one of the sum over all losses."""
    rows, total = [row_of(walk) for walk in seen.downwards], sum_of(trace, seen) if with_sum else None
    heading, floor = f"from the loss at t={seen.timestep}", floor_of(trace.dtype)
    return bar_rows(rows, heading, labels=trace.labels, floor=floor, total=total)


def _row_lines(layout: Layout, rows: Sequence[Row], low: float, high: float) -> Iterator[Text]:
    for row, end in zip(rows, layout.ends, strict=True):
        values = smallest(_padded(row.decades, layout.spans), layout.spans)
        marks = [(character(one, low, high), style(one)) for one in values]
        yield layout.line(printable(row.name), layout.bar(marks), end)


def _sum_lines(layout: Layout, total: Sum | None) -> Iterator[Text]:
    """Show the sum as every picture does that has it: linear, the largest as high as there is room."""
    if total is None:
        return
    start, extent = f"sum over all {total.losses} losses", " to ".join(dict.fromkeys(map(amount_text, total.ends)))
    short, said = ("flat", "flat, says nothing about reach") if total.flat else (extent, extent)
    yield layout.line("", Text(fitting(layout.beside, f"{start} (linear): {said}", f"{start}: {short}"), style="dim"))
    values = smallest(_padded(total.values, layout.spans), layout.spans)
    marks = [(character(one, 0.0, total.ends[1]), "dim") for one in values]
    yield layout.line(printable(total.name), layout.bar(marks))


def _padded(values: Floats, spans: Spans) -> Floats:
    return np.append(values, np.full(spans[-1][1] - len(values), np.nan))
