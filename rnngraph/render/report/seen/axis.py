"""The line under the rows: the timesteps, or the words of the steps where they have some and there is room.

In: how the steps are divided among the characters. Out: a text as wide as the rows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from rnngraph.graph.sizes import round_step
from rnngraph.render.report.seen.levels import Spans
from rnngraph.render.report.text import printable

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


def ticks_line(spans: Spans) -> str:
    """Write timesteps under their characters: the first, round ones between, and the last, which ends with its row."""
    count, width = spans[-1][1], len(spans)
    last, first = str(count - 1), "t=0"
    if count == 1 or width < len(first) + len(last) + 1:
        return first
    line, end = first, width - len(last)
    step = round_step(count * _APART / width)
    for t in range(step, count - 1, step):
        at = next(place for place, (start, stop) in enumerate(spans) if start <= t < stop)
        if at + len(str(t)) + 2 <= end:
            line = line.ljust(at) + str(t)
    return line.ljust(end) + last
