"""Write a picture to a file: the format by the suffix, all or nothing, never over somebody's other file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnngraph.errors import FileError, InputError

if TYPE_CHECKING:
    from rnngraph.graph.drawing import Drawing
    from rnngraph.graph.steps import Steps
    from rnngraph.render.format import Format
    from rnngraph.trace.model import Trace


def render(
    source: Trace | Drawing | Any,
    path: str | os.PathLike[str],
    *,
    steps: Steps = None,
    detail: str = "step",
    view: str = "unrolled",
    color: str = "grad",
    backward: bool = True,
    title: str | None = None,
    force: bool = False,
) -> Path:
    """Write the picture of a trace, of a drawing, or of what `record` takes, and return its path.

    The suffix decides the format. A file of another kind is overwritten only with `force`; the other options are those
    of `draw` and need a trace. A picture that cannot be finished leaves no file behind.

    Raises:
        InputError: an unknown suffix or option, steps outside the trace, or a trace without timesteps.
        FileError: the path is a folder, its folder does not exist or cannot be written to, or another kind of file is
            there.
        MissingToolError: the format needs Graphviz and there is none.
    """
    from rnngraph.graph.draw import Options, draw_with
    from rnngraph.graph.drawing import Drawing
    from rnngraph.render.format import format_of, render_bytes
    from rnngraph.render.title import picture_title

    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the path is {path!r}; pass the file to write, such as 'unrolled.svg'")
    target = Path(path)
    refuse_folder(target)
    chosen = format_of(target)
    check_target(target, chosen, force=force)
    options = Options(steps, detail, view, color, backward, title)
    if not isinstance(source, Drawing):
        trace = _as_trace(source)
        drawing = draw_with(trace, replace(options, title=title or picture_title(trace)), whole=chosen.draws_steps)
    elif options != Options():
        raise InputError("steps, detail, view, color, backward and title belong to a trace; give them to draw instead")
    else:
        drawing = source
    write(target, render_bytes(drawing, chosen.name))
    return target


def check_target(path: Path, chosen: Format, *, force: bool = False) -> None:
    """Refuse a target that cannot be written to, before any work is done.

    Raises:
        FileError: as `render` says.
    """
    refuse_folder(path)
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"the folder {str(folder)!r} does not exist; make it first")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FileError(f"{str(path)!r} cannot be written: permission denied")
    if path.exists() and not force and not is_of_kind(path, chosen.name):
        raise FileError(
            f"{str(path)!r} exists and is no {chosen.name} file; choose another name, or overwrite it with force"
        )


def refuse_folder(path: Path) -> None:
    """Refuse a path that is a folder.

    Raises:
        FileError: it is one, or no file can have this name.
    """
    try:
        folder = path.is_dir()
        path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise FileError(f"{str(path)!r} cannot be used: {error.strerror or error}") from None
    if folder:
        raise FileError(
            f"{str(path)!r} is a folder; give the name of a file in it, such as {str(path / 'unrolled.svg')!r}"
        )


def is_of_kind(path: Path, name: str) -> bool:
    """Whether a file begins as a file of a format does; an empty file is of every kind."""
    with path.open("rb") as file:
        start = file.read(4096)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return True
    match name:
        case "png":
            return start.startswith(b"\x89PNG")
        case "pdf":
            return start.startswith(b"%PDF")
        case "svg":
            return b"<svg" in start
        case "html":
            return text[:15].lower().startswith((b"<!doctype html", b"<html"))
        case "json":
            return text.startswith((b"{", b"["))
        case "dot":
            return text.startswith((b"digraph", b"graph", b"strict"))
        case "mermaid":
            return b"flowchart" in start or b"graph " in start
    return False


def write(path: Path, data: bytes) -> None:
    """Write a file all or nothing.

    Raises:
        FileError: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FileError(f"{str(path)!r} cannot be written: {reason}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_mask())
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise FileError(f"{str(path)!r} cannot be written: {error.strerror or error}") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _as_trace(source: Any) -> Trace:
    from rnngraph.trace.model import Trace

    if isinstance(source, Trace):
        return source
    from rnngraph.trace.record import record

    return record(source)
