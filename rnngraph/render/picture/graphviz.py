"""Turn DOT text into png or pdf with the Graphviz inside the wheels of pygraphviz; positions stay as they are."""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator

from rnngraph.errors import MissingToolError, said
from rnngraph.graph.sheet import Sheet
from rnngraph.render.picture.dot import dot

# Graphviz' bitmap libraries refuse or shrink what is larger than this many pixels on a side.
LARGEST_SIDE = 32_000
DPI = 144.0  # a pixel becomes two by two
NO_GRAPHVIZ = (
    "png and pdf are drawn by the Graphviz of pygraphviz, which is not installed; run `pip install pygraphviz`, or "
    "write .svg, .html, .dot, .json or .mmd"
)


def pdf(sheet: Sheet) -> bytes:
    """Return a sheet as one PDF page, without the time at which it was made."""
    data = run_graphviz(dot(sheet), "pdf")
    return re.sub(rb"/CreationDate \(D:(\d{14})", b"/CreationDate (D:20000101000000", data)


def png(sheet: Sheet) -> bytes:
    """Return a sheet as a bitmap; warn where it had to be made smaller to be possible at all."""
    longest, wanted = max(sheet.frame.width, sheet.frame.height), DPI
    dpi = min(wanted, LARGEST_SIDE * 72 / longest)
    if dpi < wanted:
        warnings.warn(
            f"the picture is {longest:.0f} points long, so the PNG was drawn at {dpi:.0f} instead of "
            f"{wanted:.0f} dots an inch; "
            "write .svg for a picture of any size, or show fewer steps",
            UserWarning,
            stacklevel=3,
        )
    source = dot(sheet).replace("graph [", f'graph [dpi="{dpi:.4g}" ', 1)
    return run_graphviz(source, "png")


def run_graphviz(source: str, format: str) -> bytes:  # noqa: A002 - the field's own word
    """Draw DOT text with pinned positions.

    Raises:
        MissingToolError: pygraphviz is not installed, or cannot draw this.
    """
    try:
        import pygraphviz
    except ImportError:
        raise MissingToolError(NO_GRAPHVIZ) from None
    try:
        # It warns of slow layouts for large graphs on stderr, but nothing is laid out here.
        with contextlib.redirect_stderr(io.StringIO()), _quiet_library():
            return bytes(pygraphviz.AGraph(string=source).draw(format=format, prog="nop2"))
    except MemoryError:
        raise
    except Exception as error:  # a Graphviz that lacks the format or breaks
        raise MissingToolError(
            f"Graphviz cannot draw this as {format}: {said(error).removesuffix('.')}; install another pygraphviz, or "
            "write .svg, .html, .dot, .json or .mmd."
        ) from None


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Hold back what the C library writes: a line for each label wider than its box, and the fonts' own warnings.

    `dot` is told the same with -q. The library knows no such option, so the descriptor itself is turned away.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr to be quiet on
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
