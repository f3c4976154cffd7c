"""The title of a view of all losses: the sentence that heads every view, where the trace holds the lags it rests on."""

from __future__ import annotations

from dataclasses import replace

from rnngraph.diagnosis.headline import headline
from rnngraph.graph.draw import Drawing
from rnngraph.graph.one_loss.headings import verdict_of
from rnngraph.trace.model import Trace

__all__ = ["picture_title", "titled", "verdict_of"]


def titled(drawing: Drawing) -> Drawing:
    """Put the sentence over the view of all losses; one that is seen from a loss says it itself."""
    if drawing.options.title is not None or drawing.alone:
        return drawing
    return Drawing(drawing.trace, replace(drawing.options, title=picture_title(drawing.trace)))


def picture_title(trace: Trace) -> str | None:
    """Say where the gradient ends; None leaves the title to the drawing."""
    found = verdict_of(trace)
    return None if found is None else headline(found)[0]
