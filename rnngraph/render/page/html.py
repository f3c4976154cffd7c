"""The interactive page: one file that opens from disk and needs nothing else.

In comes a drawing, out goes HTML. Names and labels of a model are data: they reach the page
as JSON and are shown as text only, and the page's policy allows nothing to run or load but its own script and style.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import one_line
from rnngraph.render.page.assets import asset, drawn, script, source_hash, style
from rnngraph.render.page.payload import payload

# Characters that could end the script element that the data are in, or a line of it, or that no page may hold.
_CONTROLS = "".join(map(chr, range(0x7F, 0xA0)))
_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in f"<>&\u2028\u2029{_CONTROLS}"}


def html(drawing: Drawing) -> str:
    """Return the page of a drawing."""
    data = payload(drawing)
    parts = {
        "policy": policy(),
        "title": escape(_title(data)),
        "style": style(),
        "drawn": drawn(),
        "all": asset("all.html"),
        "data": embedded(data),
        "script": script(),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], asset("page.html"))


def policy() -> str:
    """Return the Content-Security-Policy: the page's own script and style by their hashes, and nothing else."""
    return (
        f"default-src 'none'; script-src '{source_hash(script())}'; "
        f"style-src '{source_hash(drawn())}' '{source_hash(style())}'; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(data: dict[str, Any]) -> str:
    """Write data as JSON that is safe inside a script element.

    A lone surrogate, which UTF-8 cannot hold, stays the escape that JSON has for it.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _title(data: dict[str, Any]) -> str:
    said = str(data["headline"][0])
    return one_line(said if said == data["title"] else f"{said} {data['title']}")
