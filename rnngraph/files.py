"""Files that are written whole or not at all, and what is checked before any work is done for one.

In: a path that a user gave, and bytes. Out: a file, or one sentence that says why there can be none.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rnngraph.errors import FileError, InputError


def path_of(given: object, *, example: str) -> Path:
    """Take a path.

    Raises:
        InputError: it is none.
    """
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"the path is {given!r}; pass the name of a file, such as {example!r}.")
    return Path(given)


def is_file(path: Path) -> bool:
    """Tell whether there is a file.

    Raises:
        FileError: no file can have this name, or its folder may not be entered.
    """
    return _ask(path, Path.is_file)


def check_target(path: Path, *, example: str, kind: str, is_kind: Callable[[Path], bool], force: bool = False) -> None:
    """Refuse a target that cannot be written to, or that is somebody's other file, before any work is done.

    Args:
        path: the file to write.
        example: a name that a file in a folder could have.
        kind: what a file of the right kind is called.
        is_kind: tells whether a file is of the right kind; only such a one is overwritten.
        force: overwrite any file.

    Raises:
        FileError: the path is a folder, its folder does not exist or cannot be written to, or another file is there.
    """
    check_place(path, example=example)
    if path.is_file() and not force and not is_kind(path):
        raise FileError(
            f"{str(path)!r} exists and is no {kind}; choose another name, or overwrite it with force (--force)."
        )


def check_place(path: Path, *, example: str) -> None:
    """Refuse a target that cannot be written to.

    Raises:
        FileError: the path is a folder, or its folder does not exist or cannot be written to.
    """
    refuse_folder(path, example=example)
    if not _ask(path.parent, Path.is_dir):
        raise FileError(f"the folder {str(path.parent)!r} does not exist; make it first.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FileError(f"{str(path)!r} cannot be written: permission denied.")


def refuse_folder(path: Path, *, example: str) -> None:
    """Refuse a path that is a folder.

    Raises:
        FileError: it is one, or no file can have this name.
    """
    if _ask(path, Path.is_dir):
        raise FileError(f"{str(path)!r} is a folder; name a file in it, such as {str(path / example)!r}.")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file all or nothing; one that is overwritten keeps who may read it.

    A link is followed. What is no file, such as a device or a pipe, is written into and not replaced.

    Raises:
        FileError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path = Path(os.path.realpath(path))
        handle, name = tempfile.mkstemp(prefix=".rnngraph-", dir=path.parent)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _cannot_be_written(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_mask())
        os.replace(name, path)
    except BaseException as error:  # also where somebody stops the program
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError | ValueError):
            raise _cannot_be_written(path, error) from None
        raise


def _cannot_be_written(path: Path, error: OSError | ValueError) -> FileError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return FileError(f"{str(path)!r} cannot be written: {reason}.")


def _ask(path: Path, question: Callable[[Path], bool]) -> bool:
    try:
        return question(path)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise FileError(f"{str(path)!r} cannot be used: {error.strerror or error}.") from None


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
