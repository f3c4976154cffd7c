"""The page's own text: its HTML, its styles and its scripts, read from the folder `web`.

Several small files become one style and one script, in the order of the tables here.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

STYLES = ("page.css", "graph.css", "panel.css")
SCRIPTS = (
    "text.js", "data.js", "columns.js", "draw.js", "column.js", "bands.js", "far.js", "view.js", "focus.js",
    "panel.js", "lags.js", "search.js", "minimap.js", "controls.js", "start.js",
)  # fmt: skip


@cache
def asset(name: str) -> str:
    """Return the text of one file."""
    return files(__package__).joinpath("web", name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """Return the whole style sheet."""
    return "\n" + "\n".join(asset(name) for name in STYLES)


@cache
def script() -> str:
    """Return the whole script, in a block of its own so that none of its names is global."""
    return '\n"use strict";\n{\n' + "\n".join(asset(name) for name in SCRIPTS) + "}\n"


def source_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
