"""Every way to show a trace: pictures and pages in files, reports, and what a notebook shows. Only `save` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnngraph.display import show_with
from rnngraph.render.save import render

if TYPE_CHECKING:
    from rnngraph.graph.draw import Drawing
    from rnngraph.trace.model import Trace

__all__ = ["render"]


def _show(shown: Trace | Drawing) -> dict[str, str]:
    from rnngraph.render.notebook import bundle  # the renderers are loaded once a notebook asks

    return bundle(shown)


show_with(_show)
