"""A chart as a file: SVG, an HTML page around it, or a PNG that Graphviz draws of the same shapes.

In: a `Chart`, and for the page one for a narrow screen too. Out: bytes; nothing is written here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

from rnngraph.errors import InputError
from rnngraph.render.picture.graphviz import DPI, LARGEST_SIDE, run_graphviz
from rnngraph.render.report.chart.dot import chart_dot
from rnngraph.render.report.chart.shapes import Chart
from rnngraph.render.report.chart.svg import chart_svg, escaped

FORMATS = ("svg", "png", "html")
WIDE, NARROW = 900, 390  # pixels that a chart is drawn for, never scaled down
_SWITCH = 760  # of the page's width, below which the narrow chart is shown


def known_format(name: str) -> None:
    """Refuse a format that charts do not have.

    Raises:
        InputError: it is none of them.
    """
    if name not in FORMATS:
        raise InputError(f"format {name!r} is unknown here; use one of {', '.join(FORMATS)}.")


def chart_document(format: str, wide: Chart, narrow: Chart | None = None, table: Sequence[Sequence[str]] = ()) -> bytes:  # noqa: A002 - the option's name
    """Make a file of a chart; a page may have a narrow one for phones, and a table of the numbers, headings first.

    Raises:
        InputError: an unknown format.
        MissingToolError: a PNG needs Graphviz and there is none.
    """
    known_format(format)
    if format == "png":
        return _png(wide)
    if format == "svg":
        return chart_svg(wide).encode()
    return _page(wide, narrow, table).encode()


def _page(wide: Chart, narrow: Chart | None, table: Sequence[Sequence[str]]) -> str:
    drawn = [chart_svg(wide)] if narrow is None else [
        f'<div class="wide">{chart_svg(wide)}</div>', f'<div class="narrow">{chart_svg(narrow)}</div>',
    ]  # fmt: skip
    dark = wide.dark.get(wide.paper)
    switch = "" if narrow is None else (
        f".narrow{{display:none}}@media (max-width:{_SWITCH}px){{.wide{{display:none}}.narrow{{display:block}}}}"
    )  # fmt: skip
    if dark:
        switch += f"@media (prefers-color-scheme:dark){{body{{background:{dark};color:#f0f4f9}}}}"
    margin = 1 if narrow is None else 0
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(wide.title)}</title>"
        f"<style>body{{margin:{margin}rem;background:{wide.paper}}}svg{{max-width:100%;height:auto}}"
        "table{margin:1rem;border-collapse:collapse;font:13px Helvetica,Arial,sans-serif}"
        "th,td{padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top}.n{text-align:right}"
        f"{switch}</style></head>"
        f"<body>{''.join(drawn)}{''.join(_table(table))}</body></html>\n"
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    heads, *body = rows
    numbers = [all(_begins_as_number(row[place]) for row in body) for place in range(len(heads))]
    yield "<table>"
    for row, cell in ((heads, "th"), *((row, "td") for row in body)):
        classes = [' class="n"' if number else "" for number in numbers]
        yield "<tr>" + "".join(f"<{cell}{own}>{escaped(text)}</{cell}>" for text, own in zip(row, classes, strict=True))
    yield "</table>"


def _begins_as_number(text: str) -> bool:
    return text[:1].isdigit() or text.startswith("-")


def _png(drawn: Chart) -> bytes:
    dpi = min(DPI, LARGEST_SIDE * 72 / max(drawn.width, drawn.height))
    if dpi < DPI:
        warnings.warn(
            f"the picture is {drawn.height:.0f} points long, so the PNG was drawn at {dpi:.0f} dots an inch; write "
            ".svg for a picture of any size",
            UserWarning,
            stacklevel=4,
        )
    return run_graphviz(chart_dot(drawn, dpi), "png")
