"""Turn DOT text into png or pdf with whichever Graphviz there is; positions stay as they are.

A `dot` on the PATH is used first, else the Graphviz inside the wheels of pygraphviz, in this process.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import warnings
from collections.abc import Iterator

from rnngraph.errors import LONGEST_QUOTE, MissingToolError, said
from rnngraph.graph.sheet import Sheet
from rnngraph.render.picture.dot import dot

# Graphviz' bitmap libraries refuse or shrink what is larger than this many pixels on a side.
LARGEST_SIDE = 32_000
DPI = 144.0  # a pixel becomes two by two
NO_GRAPHVIZ = (
    "no Graphviz was found: there is no `dot` on the PATH and pygraphviz is not installed; "
    "run `pip install pygraphviz`, or install Graphviz (https://graphviz.org/download), "
    "or write .svg, .html, .dot, .json or .mmd"
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
        MissingToolError: there is neither a `dot` on the PATH nor pygraphviz, or the one that is there fails.
    """
    try:
        if find_dot() is None:
            return run_in_process(source, format)
        import graphviz

        data = source.encode("utf-8", "replace")  # a lone surrogate has no UTF-8
        picture = bytes(graphviz.pipe("neato", format, data, neato_no_op=2, quiet=True))
        if not picture:
            raise ValueError("it gave nothing")
        return picture
    except (MissingToolError, MemoryError):
        raise
    except Exception as error:  # a version that lacks the format, a program that is broken or was killed
        told = getattr(error, "stderr", None) or said(error)
        told = " ".join(told.decode("utf-8", "replace").split()) if isinstance(told, bytes) else str(told)
        raise MissingToolError(
            f"Graphviz cannot draw this as {format}: {told[:LONGEST_QUOTE].removesuffix('.')}; "
            "install another Graphviz, or write .svg, .html, .dot, .json or .mmd."
        ) from None


def find_dot() -> str | None:
    """Return the path of the system's `dot`, None where there is none."""
    return shutil.which("dot")


def run_in_process(source: str, format: str) -> bytes:  # noqa: A002 - the field's own word
    """Draw with the Graphviz that pygraphviz carries.

    Raises:
        MissingToolError: pygraphviz is not installed.
    """
    try:
        import pygraphviz
    except ImportError:
        raise MissingToolError(NO_GRAPHVIZ) from None
    # It warns of slow layouts for large graphs on stderr, but nothing is laid out here.
    with contextlib.redirect_stderr(io.StringIO()), _quiet_library():
        return bytes(pygraphviz.AGraph(string=source).draw(format=format, prog="nop2"))


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
