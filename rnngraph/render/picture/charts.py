"""Write a sheet that is no unrolled graph in every format of pictures: svg, png, pdf, and html around the svg.

In: a sheet. Out: bytes. The writers are those of the other drawings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import cast

from rnngraph.errors import InputError
from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.sheet import Sheet
from rnngraph.graph.style.left import colour
from rnngraph.nearest import did_you_mean
from rnngraph.render.picture import graphviz
from rnngraph.render.picture.svg import sheet_svg

FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".html": "html", ".htm": "html"}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a writer asks of a drawing."""

    sheet: Sheet

    @property
    def frame(self) -> Box:
        return self.sheet.frame


def chart_bytes(sheet: Sheet, format: str) -> bytes:  # noqa: A002 - the option's name
    """Render a sheet as `svg`, `png`, `pdf` or `html`.

    Raises:
        InputError: another format.
        MissingToolError: png and pdf need Graphviz, and there is none.
    """
    names = list(dict.fromkeys(FORMATS.values()))
    if format not in names:
        meant = did_you_mean(format, names) or "."
        raise InputError(f"format {format!r} is unknown here; use one of {', '.join(names)}{meant}")
    if format in ("png", "pdf"):
        drawn = cast(Drawing, _Drawn(replace(sheet, theme="light") if sheet.theme == "auto" else sheet))
        return graphviz.png(drawn) if format == "png" else graphviz.pdf(drawn)
    text = sheet_svg(sheet)
    return (text if format == "svg" else _page(sheet, text)).encode("utf-8", "backslashreplace")


def _page(sheet: Sheet, svg: str) -> str:
    paper = f"body{{margin:1rem;background:{colour('paper', dark=sheet.theme == 'dark')}}}"
    if sheet.theme == "auto":
        paper += f"@media (prefers-color-scheme:dark){{body{{background:{colour('paper', dark=True)}}}}}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(one_line(sheet.title))}</title>"
        f"<style>{paper}svg{{max-width:100%;height:auto}}</style></head>"
        f"<body>{svg.partition('?>')[2].lstrip()}</body></html>\n"
    )
