"""A comparison for a rich console: what differs in sentences, and every number beside its counterpart.

In: a `Comparison`, and what of it is worse where that was asked. Out: something that a rich console prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from rnngraph.history.compare.contrast import NOT_IN_COMMON, Comparison, comparison_sentences
from rnngraph.render.report.compare.comparison_table import comparison_table
from rnngraph.render.report.text import printable


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What `rnngraph compare` prints; give it to a rich console."""

    comparison: Comparison
    worse: tuple[str, ...] | None = None  # None where that was not asked

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width of a console."""
        first, *others = comparison_sentences(self.comparison)
        yield Text(printable(first), style="bold")
        yield from (Text(printable(one), style="yellow" if one.startswith(NOT_IN_COMMON) else "") for one in others)
        yield Text()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        headings, *rows = comparison_table(self.comparison)
        for heading in headings:
            table.add_column(heading, overflow="fold", min_width=8)
        for row in rows:
            cells = [printable(cell) for cell in row]
            table.add_row(*cells, style="" if cells[1] == cells[2] else "bold")
        yield table
        for said in self.worse or ():
            yield Text(f"Worse: {printable(said)}", style="bold red")
        if self.worse == ():
            yield Text("Not worse.", style="bold green")
