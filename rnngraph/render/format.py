"""The table of renderers and the choice by suffix. A drawing goes in, text or bytes come out; nothing is written here.

To add a format, write a module with one function from a drawing to text or bytes, and add a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from rnngraph.errors import InputError
from rnngraph.graph.draw import Drawing
from rnngraph.graph.sheet import Sheet
from rnngraph.nearest import did_you_mean
from rnngraph.render.page.html import html
from rnngraph.render.picture import graphviz
from rnngraph.render.picture.dot import dot
from rnngraph.render.picture.json import json
from rnngraph.render.picture.mermaid import mermaid
from rnngraph.render.picture.svg import svg


@dataclass(frozen=True, slots=True)
class Renderer:
    """One way to write a drawing. `recognises` tells from a file's first bytes whether it is of this kind."""

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    binary: bool
    render: Callable[[Drawing], str | bytes]  # pure


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(starts)


def _holds(part: bytes) -> Callable[[bytes], bool]:
    return lambda data: part in data


def _of_sheet(write: Callable[[Sheet], str | bytes]) -> Callable[[Drawing], str | bytes]:
    return lambda drawing: write(drawing.sheet)


RENDERERS = (
    Renderer("svg", (".svg",), _holds(b"<svg"), False, _of_sheet(svg)),
    Renderer("png", (".png",), _begins(b"\x89png"), True, _of_sheet(graphviz.png)),
    Renderer("pdf", (".pdf",), _begins(b"%pdf"), True, _of_sheet(graphviz.pdf)),
    Renderer("dot", (".dot", ".gv"), _begins(b"digraph", b"graph", b"strict"), False, _of_sheet(dot)),
    Renderer("json", (".json",), _begins(b"{", b"["), False, json),
    Renderer("html", (".html", ".htm"), _begins(b"<!doctype html", b"<html"), False, html),
    Renderer("mermaid", (".mmd", ".mermaid"), _holds(b"flowchart "), False, mermaid),
)


CHARTS = tuple(row for row in RENDERERS if row.name in ("svg", "png", "pdf", "html"))


def renderer_of(path: str | PurePath, chart: str = "") -> Renderer:
    """Choose the renderer of a network, or of what else a `chart` shows, by the suffix of a path.

    Raises:
        InputError: none has this suffix.
    """
    suffix = PurePath(path).suffix.lower()
    known = {one: row for row in (CHARTS if chart else RENDERERS) for one in row.suffixes}
    if suffix not in known:
        meant = did_you_mean(suffix, known) or "."
        raise InputError(
            f"{str(path)!r} has no suffix that {chart or 'a network'} can be drawn in; use one of "
            f"{', '.join(known)}{meant}"
        )
    return known[suffix]


def renderer_named(name: str) -> Renderer:
    """Find a renderer by its name or a suffix.

    Raises:
        InputError: there is no such format.
    """
    for row in RENDERERS:
        if name in (row.name, *row.suffixes):
            return row
    names = [row.name for row in RENDERERS]
    raise InputError(f"format {name!r} is unknown; use one of {', '.join(names)}{did_you_mean(name, names) or '.'}")


def render_bytes(drawing: Drawing, name: str) -> bytes:
    """Render a drawing in a format given by name or suffix, text as UTF-8."""
    data = renderer_named(name).render(drawing)
    # A lone surrogate has no UTF-8; as an escape it is what JSON writes for it.
    return data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
