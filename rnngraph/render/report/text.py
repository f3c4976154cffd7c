"""Numbers, magnitudes and bars as text for a terminal, one at a time, and the three lines at the top of every report.

In come values of a trace, out come strings and rich texts. The four states of a magnitude that is not an
ordinary number are told apart in words, so that the report also reads without colours. A report is a function that
yields its parts for a width; `laid_out` makes of it what a rich console prints at its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from io import StringIO
from typing import Any, Concatenate, ParamSpec, TypeAlias

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from rnngraph.diagnosis.sentences import part_text
from rnngraph.graph.style.palette import Scale
from rnngraph.trace.magnitudes import Status

STATUS_WORDS = {
    Status.ZERO: ("zero", "bold blue"),
    Status.UNDERFLOW: ("underflow", "bold #b26a00"),
    Status.NONFINITE: ("nonfinite", "bold red"),
    Status.UNOBSERVED: ("-", "dim"),
}
NOTE_STYLE = "#b26a00"  # legible on dark and on light, which yellow is not
BAR_STYLE = "#4477aa"  # likewise
BARS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
Parts: TypeAlias = Iterator[RenderableType]
_Given = ParamSpec("_Given")
_NOWHERE = Console(file=StringIO())  # rich asks for one where lines are broken, and nothing of it


@dataclass(frozen=True, slots=True)
class Report:
    """What a command prints; give it to a rich console."""

    parts: Callable[[int], Parts]  # of a width in characters

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Parts:
        """Lay the report out for the width of a console."""
        yield from self.parts(options.max_width)


def laid_out(parts: Callable[Concatenate[int, _Given], Parts]) -> Callable[_Given, Report]:
    """Leave the width, the first that a function takes, to the console on which its report is printed."""

    @wraps(parts)
    def report(*given: _Given.args, **named: _Given.kwargs) -> Report:
        return Report(lambda width: parts(width, *given, **named))

    return report


def ends(scale: Scale) -> str:
    """Name both ends of a scale of decades, such as `1e-4..1e1`."""
    return f"1e{scale.low:.0f}..1e{scale.high:.0f}"


def magnitude_text(status: Status, value: float) -> Text:
    """Write one magnitude with three digits, or the word for its state."""
    return Text(f"{value:.2e}") if status is Status.OK else Text(*STATUS_WORDS[status])


def bar(status: Status, value: float, scale: Scale, *, width: int) -> Text:
    """Draw a magnitude on a log scale, `width` characters for all of it; nothing where there is no number."""
    if status is not Status.OK:
        return Text()
    eighths = max(1, round(scale.share(math.log10(value)) * width * 8))  # a number that is there leaves a mark
    full, rest = divmod(eighths, 8)
    return Text("█" * full + EIGHTHS[rest].strip(), style=BAR_STYLE)


def number_text(number: float) -> str:
    """Write a number with two digits or more, plainly where that is short."""
    if math.isnan(number):
        return "-"
    if number == 0:
        return "0"
    if 0.1 <= abs(number) < 1000:
        return f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
    if 0.001 <= abs(number) < 0.1:
        return f"{number:.4f}"
    return f"{number:.1e}"


def percent_text(share: float) -> str:
    """Write a share as a percentage; a little that is not nothing is `<1 %`."""
    if math.isnan(share):
        return "-"
    return "<1 %" if 0 < share < 0.005 else part_text(share)


def steps_text(half_life: float | None) -> str:
    """Write a half-life with three digits; a dash where there is none, as where a gradient does not shrink."""
    if half_life is None or math.isnan(half_life):
        return "-"
    return f"{half_life:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def wrapped(text: str | Text, width: int, style: str = "") -> Iterator[Text]:
    """Break a text into lines that end with their last word."""
    text = Text(text, style=style) if isinstance(text, str) else text
    for line in text.wrap(_NOWHERE, max(width, 1)):
        line.rstrip()
        yield line


def plain_table(*headings: str, **options: Any) -> Table:
    """Make a table without lines, whose columns take several where they are too narrow."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(headings))
    for heading in headings:
        table.add_column(heading, **{"overflow": "fold"} | options)
    return table


def printable(text: str) -> str:
    """Replace what a terminal would act on (newlines, escapes, marks of direction) by its code."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


KEYS = ("where", "why", "try")
_INDENT = 5


def headline_lines(width: int, sentences: tuple[str, str, str]) -> Iterator[Text]:
    """Set a sentence a paragraph, the first in bold and the others behind their word."""
    title, *others = map(printable, sentences)
    yield from wrapped(title, width, "bold")
    for word, text in zip(("Why", "Try"), others, strict=True):
        for number, line in enumerate(wrapped(text, width - _INDENT) if text else ()):
            yield Text.assemble((("" if number else word).ljust(_INDENT), "bold"), line)


def headline_document(sentences: tuple[str, str, str] | None) -> dict[str, str] | None:
    """Give the sentences by name."""
    return None if sentences is None else dict(zip(KEYS, sentences, strict=True))
