"""The reports that have a picture of their own: what they are, what draws them, and the table on their page.

In: a report that `rg.decay`, `rg.history` or `rg.compare` returned. Out: bytes; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnngraph.graph.sheet import Sheet
from rnngraph.history.compare.contrast import Comparison
from rnngraph.history.course import History
from rnngraph.render.picture.charts import chart_bytes
from rnngraph.render.report.compare.comparison_picture import comparison_sheet
from rnngraph.render.report.compare.comparison_table import comparison_table
from rnngraph.render.report.decay.decay_picture import decay_sheet
from rnngraph.render.report.history.history_picture import history_sheet
from rnngraph.render.report.history.history_table import history_table
from rnngraph.trace.decay import DecayReport


@dataclass(frozen=True, slots=True)
class Pictured:
    """A kind of report, what it is called in messages, and what draws it."""

    kind: type
    what: str
    sheet: Callable[..., Sheet]
    table: Callable[[Any], Iterable[Sequence[str]]] = lambda _: ()


PICTURED = (
    Pictured(DecayReport, "decays", decay_sheet),
    Pictured(History, "a history", history_sheet, history_table),
    Pictured(Comparison, "a comparison", comparison_sheet, comparison_table),
)


def pictured(report: object) -> Pictured | None:
    """Find what draws a report; None for whatever else."""
    return next((one for one in PICTURED if isinstance(report, one.kind)), None)


def report_bytes(report: Any, format: str, *, width: int | None = None, theme: str = "auto") -> bytes:  # noqa: A002 - the option's name
    """Draw a report, as `chart_bytes` does.

    Raises:
        InputError: another format, an option that is not one of its choices, or nothing to draw.
        MissingToolError: the format needs Graphviz and there is none.
    """
    found = next(one for one in PICTURED if isinstance(report, one.kind))
    return chart_bytes(partial(found.sheet, report), format, width=width, theme=theme, table=tuple(found.table(report)))
