"""Where a command's output goes: a file, or stdout for `-`; checked before the work, written whole."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnngraph.cli.console import status, stdout_is_terminal, write_output_bytes
from rnngraph.errors import InputError
from rnngraph.files import check_target, refuse_folder, write_whole

if TYPE_CHECKING:
    from rnngraph.render.format import Renderer

STDOUT = Path("-")
EXAMPLE = "run.npz"


@dataclass(frozen=True, slots=True)
class Target:
    """Where output goes: as it was given, and where that was when the command began."""

    given: Path
    path: Path

    @classmethod
    def of(cls, given: Path) -> Target:
        """Hold a path fast, before a user's function can change the folder that it is relative to."""
        return cls(given, given if given == STDOUT else Path(os.path.abspath(given)))


def picture_target(given: Path, *, chart: str = "", name: str | None = None, force: bool) -> tuple[Target, Renderer]:
    """Choose the format of a picture as `format_of` does; to stdout it goes as svg, if nothing else is said.

    Raises:
        InputError: an unknown format, or a binary one that would go to a terminal.
        FileError: as for every picture.
    """
    from rnngraph.render.format import renderer_named
    from rnngraph.render.save import format_of

    if given != STDOUT:
        return Target.of(given), format_of(given, chart=chart, name=name, force=force)
    chosen = renderer_named(name or "svg")
    if chosen.binary:
        _refuse_terminal(f"the format {chosen.name}")
    return Target.of(given), chosen


def run_target(path: Path, *, force: bool) -> Target:
    """Make sure, before anything is computed, that a saved run may be written to `path`.

    Raises:
        InputError: the name does not end in .npz, or the bytes would go to a terminal.
        FileError: the path is a folder, its folder does not exist, or a file that is no saved run is there.
    """
    if path == STDOUT:
        _refuse_terminal("a saved run")
        return Target.of(path)
    refuse_folder(path, example=EXAMPLE)
    if path.suffix != ".npz":
        raise InputError(f"a saved run ends in .npz, but {str(path)!r} does not: choose such a name.")
    check_target(path, example=EXAMPLE, kind="saved run", is_kind=_is_run, force=force)
    return Target.of(path)


def write_output(data: bytes, target: Target) -> None:
    """Write bytes to a file, all or nothing, or to stdout; say on stderr which file was written."""
    if target.path == STDOUT:
        write_output_bytes(data)
        return
    write_whole(target.path, data)
    path = target.given
    if not target.path.is_file():  # a device or a pipe, which has no size
        status(f"wrote {path}")
        return
    size = target.path.stat().st_size
    text = f"{size} bytes" if size < 1000 else f"{size / 1e3:.3g} kB" if size < 1_000_000 else f"{size / 1e6:.3g} MB"
    status(f"wrote {path} ({text})")


def _refuse_terminal(what: str) -> None:
    if stdout_is_terminal():
        raise InputError(f"{what} is binary and stdout is a terminal: name a file, or pipe it on.")


def _is_run(path: Path) -> bool:
    """Whether a file begins as a saved run does; its numbers are not read. An empty file may become one."""
    try:
        if path.stat().st_size == 0:
            return True
        with zipfile.ZipFile(path) as archive, archive.open("header.npy") as header:
            return b'"rnngraph trace"' in header.read(4096)
    except Exception:  # whatever a damaged archive makes the reader raise: it is no run
        return False
