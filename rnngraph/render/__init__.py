"""Every way to show a trace: pictures in files and reports in the terminal. Renderers are pure; `save` writes."""

from __future__ import annotations

from rnngraph.render.save import render

__all__ = ["render"]
