"""The page's own text: its HTML, its styles and its scripts, read from the folder `web`.

The scripts are ES modules; here they become one script, each after those that it imports, in one block of names.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from functools import cache
from importlib.resources import files

from rnngraph.graph.style.boxes import KINDS
from rnngraph.graph.style.left import COLOURS, GROWN, LEFT

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
