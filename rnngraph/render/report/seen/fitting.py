"""How a line of the rows is divided: the name, the characters of the steps, and how the row ends.

In: rows and the width of a console. Out: a `Layout`, which sets lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from rnngraph.graph.steps import spans_of
from rnngraph.render.report.seen.axis import ticks_line, words_line, words_of
from rnngraph.render.report.seen.levels import Spans
from rnngraph.render.report.seen.sparklines import Row
from rnngraph.render.report.text import printable

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

    def axis(self) -> Text:
        """Write the words or the timesteps under the bars."""
        line = ticks_line(self.spans) if self.words is None else words_line(self.words, self.widths)
        return self.line("", Text(line, style="dim"))


def layout_of(rows: Sequence[Row], labels: Sequence[str | None], *, start: str, scale: str, width: int) -> Layout:
    """Divide a line of `width` characters; the title is `start`, with the scale where there is room."""
    kinds = {row.end[0] for row in rows}
    heading = kinds.pop() if len(kinds) == 1 else ""
    ends = [row.end[1] if heading else _whole(row) for row in rows]
    name = max(len("state"), min(max(cell_len(printable(row.name)) for row in rows), max(width // 5, 10)))
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
