"""What a notebook shows of a trace and of a drawing: both are below this folder and know of no renderer.

Importing this module is all; the renderers are loaded once a notebook asks.
"""

from __future__ import annotations

from typing import Any

from rnngraph.graph.draw import Drawing
from rnngraph.trace.model import Trace

_HOOK = "_repr_mimebundle_"  # the method that a notebook looks for


def _show(shown: Trace | Drawing, include: Any = None, exclude: Any = None) -> dict[str, str]:
    from rnngraph.render.notebook import bundle

    return bundle(shown)


for _kind in (Trace, Drawing):
    setattr(_kind, _HOOK, _show)
