"""The table of formats and the choice by suffix. A drawing goes in, text or bytes come out; nothing is written here.

To add a format, write a module with one function `render(drawing) -> str | bytes` and add a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath

from rnngraph.errors import InputError
from rnngraph.graph.drawing import Drawing


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a drawing: `function` of `module` renders it, loaded when it is first used."""

    name: str
    suffixes: tuple[str, ...]
    binary: bool
    module: str
    function: str
    draws_steps: bool = True  # False: it lays the steps out itself, and a folded drawing is all it needs

    def render(self, drawing: Drawing) -> str | bytes:
        """Render a drawing; pure."""
        function: Callable[[Drawing], str | bytes] = getattr(import_module(self.module), self.function)
        return function(drawing)


FORMATS = (
    Format("svg", (".svg",), False, "rnngraph.render.image", "svg"),
    Format("png", (".png",), True, "rnngraph.render.image", "png"),
    Format("pdf", (".pdf",), True, "rnngraph.render.image", "pdf"),
    Format("dot", (".dot", ".gv"), False, "rnngraph.render.dot", "dot"),
    Format("json", (".json",), False, "rnngraph.render.json", "json"),
    Format("html", (".html", ".htm"), False, "rnngraph.render.html", "html", draws_steps=False),
    Format("mermaid", (".mmd", ".mermaid"), False, "rnngraph.render.mermaid", "mermaid"),
)


def format_of(path: str | PurePath) -> Format:
    """Choose the format by the suffix of a path.

    Raises:
        InputError: no format has this suffix.
    """
    suffix = PurePath(path).suffix.lower()
    for row in FORMATS:
        if suffix in row.suffixes:
            return row
    known = ", ".join(suffix for row in FORMATS for suffix in row.suffixes)
    problem = (
        f"has the suffix {suffix!r}, which is no known format" if suffix else "has no suffix to tell the format by"
    )
    raise InputError(f"{str(path)!r} {problem}; use one of {known}.")


def format_named(name: str) -> Format:
    """Find a format by its name or a suffix.

    Raises:
        InputError: there is no such format.
    """
    for row in FORMATS:
        if name in (row.name, *row.suffixes):
            return row
    raise InputError(f"format {name!r} is unknown; use one of {', '.join(row.name for row in FORMATS)}.")


def render_bytes(drawing: Drawing, format: str) -> bytes:  # noqa: A002 - the field's own word
    """Render a drawing in a format given by name or suffix, text as UTF-8."""
    data = format_named(format).render(drawing)
    # A lone surrogate has no UTF-8; as an escape it is what JSON writes for it.
    return data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
