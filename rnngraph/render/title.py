"""The title of a picture: the model, and the verdict where the trace holds the lags that one rests on."""

from __future__ import annotations

from dataclasses import replace

from rnngraph.graph.draw import Drawing
from rnngraph.graph.one_loss.headings import verdict_of
from rnngraph.trace.model import Trace

__all__ = ["picture_title", "titled", "verdict_of"]


def titled(drawing: Drawing) -> Drawing:
    """Put the verdict over the view of all losses; one that is seen from a loss says it itself."""
    if drawing.options.title is not None or drawing.alone:
        return drawing
    return Drawing(drawing.trace, replace(drawing.options, title=picture_title(drawing.trace)))


def picture_title(trace: Trace) -> str | None:
    """Name the model and say the verdict at its horizon; None leaves the title to the drawing."""
    found = verdict_of(trace)
    if found is None:
        return None
    text = found.verdict.replace("_", " ")
    if found.verdict in ("vanishing", "saturated") and found.memory_horizon is not None:
        text += f", no credit beyond lag {found.memory_horizon}"
    return f"{trace.model or 'recurrent network'} — {text} (at lag {found.horizon})"
