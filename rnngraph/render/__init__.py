"""Every way to show a trace: pictures and pages in files, reports, and what a notebook shows. Only `save` writes."""

from __future__ import annotations

from typing import Any

from rnngraph.graph.draw import Drawing
from rnngraph.render.save import render
from rnngraph.trace.model import Trace

__all__ = ["render"]

_HOOK = "_repr_mimebundle_"  # the method that a notebook looks for


def _show(shown: Trace | Drawing, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Give a notebook what it may show; the renderers are loaded once one asks."""
    from rnngraph.render.notebook import bundle

    return bundle(shown)


for _kind in (Trace, Drawing):  # both are below this layer and know of no renderer
    setattr(_kind, _HOOK, _show)
