"""The interactive page: one file that opens from disk and needs nothing else.

In comes a drawing, out goes HTML. Names and labels of a model are data: they reach the page
as JSON and are shown as text only, and the page's policy allows nothing to run or load but its own script and style.
Its styles and scripts are read from the folder `web`. The scripts are ES modules; here they become one script, each
after those that it imports, in one block of names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from rnngraph.graph.draw import Drawing
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.style.boxes import KINDS
from rnngraph.graph.style.left import COLOURS, GROWN, LEFT
from rnngraph.render.page.payload import payload

STYLES = ("page.css", "walk.css", "all.css", "panel.css")
DRAWN = "drawn.css"  # what a picture of the walk needs, also where it is exported
ENTRY = "start.js"

_IMPORT = re.compile(r'^import \{[^}]*\} from "(?P<path>[^"]+)";\n', re.MULTILINE)
_TYPES = re.compile(r"/\*\*.*?\*/ ?", re.DOTALL)  # what a reader of the source and the type checker need
_EXPORT = re.compile(r"^export (?=(?:async )?function\*? |const |let |class )", re.MULTILINE)


@cache
def asset(name: str) -> str:
    """Return the text of one file."""
    return files(__package__).joinpath("web", *name.split("/")).read_text(encoding="utf-8")


@cache
def style() -> str:
    """Return the style sheet of the page around the pictures."""
    return "\n" + "\n".join(asset(name) for name in STYLES)


@cache
def drawn() -> str:
    """Return the style sheet of the pictures: every colour of the scale in light and in dark, and how they are used."""
    themes = [f":root{{{_variables(0)}}}", f':root[data-theme="dark"]{{{_variables(1)}}}']
    tones = [tone.name for tone in (*LEFT, *GROWN)]
    kinds = "".join(
        f".kind-{kind} rect,.kind-{kind} ellipse{{fill:var(--{fill});stroke:var(--{stroke})}}\n"
        for kind, (fill, stroke) in KINDS.items()
    )
    fills = "".join(
        f".{name}{{fill:var(--{name})}}.way.{name}{{fill:none;stroke:var(--{name})}}"
        f".on-{name}{{background:var(--{name})}}\n"
        for name in tones
    )
    return "\n" + "\n".join((*themes, fills, kinds, asset(DRAWN)))


def _variables(theme: int) -> str:
    return "".join(f"--{name}:{colours[theme]};" for name, colours in COLOURS.items())


@cache
def script() -> str:
    """Return the whole script, in a block of its own so that none of its names is global."""
    return '\n"use strict";\n{\n' + "\n".join(plain(name) for name in modules()) + "}\n"


@cache
def modules(entry: str = ENTRY) -> tuple[str, ...]:
    """List the modules that one of them needs, each after those that it imports.

    Raises:
        ValueError: two modules import each other, so that neither can come first.
    """
    found: list[str] = []
    _visit(entry, (), found)
    return tuple(found)


def _visit(name: str, way: tuple[str, ...], found: list[str]) -> None:
    if name in way:
        raise ValueError(f"modules import each other: {' -> '.join((*way, name))}")
    if name in found:
        return
    for match in _IMPORT.finditer(asset(name)):
        _visit(posixpath.normpath(posixpath.join(posixpath.dirname(name), match["path"])), (*way, name), found)
    found.append(name)


def plain(name: str) -> str:
    """Return a module without what makes it one."""
    text = _TYPES.sub("", _IMPORT.sub("", asset(name))).replace("// @ts-check\n", "", 1)
    return re.sub(r"\n{3,}", "\n\n", _EXPORT.sub("", text))


def source_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
