"""A verdict for a rich console: the three lines, what is left of one loss as a row a state, and what else is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.judged import Judged
from rnngraph.diagnosis.report import body, text_of
from rnngraph.render.report.headline import Headline
from rnngraph.render.report.seen.chart import seen_rows
from rnngraph.trace.model import Trace

_MOST_ROWS = 8  # rows of a deep network are for `norms`


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What `rnngraph diagnose` prints; give it to a rich console."""

    trace: Trace
    diagnosis: Judged
    verbose: bool = False
    untried: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        yield Headline(headline(self.diagnosis))
        yield Text()
        one = seen(self.trace)
        if one is not None and len(one.walks) <= _MOST_ROWS:
            yield seen_rows(self.trace, one, with_sum=False)
            yield Text()
        text = text_of(body(self.diagnosis, full=self.verbose, tried=self.verbose, untried=self.untried))
        for line in text.wrap(console, options.max_width):
            line.rstrip()
            yield line
