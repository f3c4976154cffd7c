"""Write a chart in its formats: svg, png, pdf, and a page around the svg, with one for a phone and the numbers below.

In: what draws the sheet for a width, or a report that has a picture of its own, which `rg.decay`, `rg.history`,
`rg.compare` or `rg.context` returned. Out: bytes. The writers are those of the other drawings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.sizes import NARROW, WIDE
from rnngraph.graph.style.palette import THEME
from rnngraph.history.compare.contrast import Comparison
from rnngraph.history.course import History
from rnngraph.nearest import check_known
from rnngraph.render.format import CHARTS
from rnngraph.render.picture import graphviz
from rnngraph.render.picture.svg import svg
from rnngraph.render.report.comparison_report import comparison_sheet, comparison_table
from rnngraph.render.report.context import context_sheet
from rnngraph.render.report.decay.decay_picture import decay_sheet
from rnngraph.render.report.history_report import history_sheet, history_table
from rnngraph.trace.decay import DecayReport
from rnngraph.trace.used_past import ContextTrace

_SWITCH = 760  # pixels of the page, below which the narrow chart is shown


def chart_bytes(
    draw: Callable[..., Sheet],
    format: str,  # noqa: A002 - the option's name
    *,
    width: int | None = None,
    theme: str = "auto",
    table: Sequence[Sequence[str]] = (),
) -> bytes:
    """Draw a chart, 900 pixels wide by default, as `svg`, `png`, `pdf` or `html`.

    Args:
        draw: makes the sheet of a `width` and a `theme`.
        format: of the file.
        width: of the sheet; a page without one also has the chart for a phone.
        theme: `"auto"`, `"light"` or `"dark"`.
        table: of the numbers, headings first, for the page.

    Raises:
        InputError: another format.
        MissingToolError: png and pdf need Graphviz, and there is none.
    """
    check_known([format], [row.name for row in CHARTS], "format {} is unknown here; use one of")
    sheet = draw(width=width or WIDE, theme=theme)
    if format in ("png", "pdf"):
        return graphviz.png(sheet) if format == "png" else graphviz.pdf(sheet)
    text = svg(sheet)
    if format == "html":
        shown = [text] if width is not None else [text, svg(draw(width=NARROW, theme=theme))]
        text = _page(sheet, [one.partition("?>")[2].lstrip() for one in shown], table)
    return text.encode("utf-8", "backslashreplace")


def _page(sheet: Sheet, drawn: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    style = "".join(_colours(sheet.theme))
    if len(drawn) > 1:
        style += (
            f".narrow{{display:none}}@media(max-width:{_SWITCH}px){{.wide{{display:none}}.narrow{{display:block}}}}"
        )
    charts = "".join(f'<div class="{name}">{one}</div>' for name, one in zip(("wide", "narrow"), drawn, strict=False))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(one_line(sheet.title))}</title>"
        "<style>body{margin:0}svg{max-width:100%;height:auto;display:block}"
        "table{margin:1rem;border-collapse:collapse;font:13px Helvetica,Arial,sans-serif}"
        "th,td{padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top}.n{text-align:right}"
        f"{style}</style></head><body>{charts}{''.join(_table(table))}</body></html>\n"
    )


def _colours(theme: str) -> Iterator[str]:
    light, dark = (f"body{{background:{THEME['paper'][one]};color:{THEME['ink'][one]}}}" for one in (0, 1))
    yield dark if theme == "dark" else light
    if theme == "auto":
        yield f"@media (prefers-color-scheme:dark){{{dark}}}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    heads, *body = rows
    numbers = [all(text[:1].isdigit() or text.startswith("-") for text in column) for column in zip(*body, strict=True)]
    yield "<table>"
    for row, cell in ((heads, "th"), *((row, "td") for row in body)):
        marks = [' class="n"' if number else "" for number in numbers]
        yield "<tr>" + "".join(f"<{cell}{own}>{escape(one_line(text))}</{cell}>"
                               for text, own in zip(row, marks, strict=True))  # fmt: skip
    yield "</table>"


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
    Pictured(ContextTrace, "the context", context_sheet),
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
