"""How a notebook shows a trace or a drawing: the interactive page, the picture as SVG, and a line of text."""

from __future__ import annotations

from html import escape

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import one_line
from rnngraph.render.format import render_bytes
from rnngraph.render.page.html import html
from rnngraph.trace.model import Trace

HEIGHT = 800  # pixels, in which the picture of one layer is whole


def bundle(shown: Trace | Drawing) -> dict[str, str]:
    """Give what a notebook may choose from, by media type."""
    if isinstance(shown, Trace) and not shown.timesteps:
        return {"text/plain": repr(shown)}
    drawing = shown if isinstance(shown, Drawing) else Drawing(shown)
    picture = render_bytes(drawing, "svg").decode()
    return {"text/html": frame(drawing), "text/plain": repr(shown), "image/svg+xml": picture}


def frame(drawing: Drawing) -> str:
    """Return the page inside an element that a notebook can show.

    It is a frame with the page as its `srcdoc`, which Jupyter and VS Code both show and which keeps the page's
    styles and keys apart from the notebook's. The sandbox lets its script run, but with no origin, so that it cannot
    reach the notebook.
    """
    return (
        f'<iframe srcdoc="{escape(html(drawing))}" sandbox="allow-scripts" width="100%" height="{HEIGHT}" '
        f'style="border:0" title="{escape(one_line(drawing.graph.title))}"></iframe>'
    )
