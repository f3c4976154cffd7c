"""Files that are written whole or not at all, and what is checked before any work is done for one.

In: a path that a user gave, and bytes. Out: a file, or one sentence that says why there can be none.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

from rnngraph.errors import FileError, InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".rnngraph-"  # how the names of files begin that are being written
_RANDOM = 8  # bytes of chance in such a name
_STREAMS = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")  # what a shell writes for `<(command)`
_LONGEST_STREAM = 2**30

Write: TypeAlias = Callable[[IO[bytes]], None]


def path_of(given: object, *, example: str) -> Path:
    """Take a path.

    Raises:
        InputError: it is none.
    """
    if not isinstance(given, str | os.PathLike):
        what = " ".join(repr(given).split())
        raise InputError(f"the path is {what:.60}; pass the name of a file, such as {example!r}.")
    return Path(given)


def is_file(path: Path) -> bool:
    """Tell whether there is a file.

    Raises:
        FileError: no file can have this name, or its folder may not be entered.
    """
    return _ask(path, Path.is_file)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder.

    Raises:
        FileError: likewise.
    """
    return _ask(path, Path.is_dir)


def is_stream(path: Path) -> bool:
    """Tell whether a name stands for a stream that is already open, as `<(command)` of a shell does."""
    return str(path).startswith(_STREAMS)


def open_to_read(path: Path, *, wanted: str) -> IO[bytes]:
    """Open a regular file, or take a stream that is already open whole, so that it can be read in any order.

    Args:
        path: the file.
        wanted: what to name instead, for the message.

    Raises:
        FileError: it is neither, or cannot be opened. A pipe with a name is not opened: it would be waited for.
    """
    try:
        if is_stream(path) and not path.is_file():
            with path.open("rb") as stream:
                data = stream.read(_LONGEST_STREAM + 1)
            if len(data) > _LONGEST_STREAM:
                raise FileError(f"{path} gives more than {_LONGEST_STREAM} bytes; write them to a file first.")
            return io.BytesIO(data)
        if not is_file(path):
            raise FileError(f"{path} is not a file; name {wanted}.")
        return path.open("rb")
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from None


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
    if not is_folder(path.parent):
        raise FileError(f"the folder {str(path.parent)!r} does not exist; make it first.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FileError(f"{str(path)!r} cannot be written: permission denied.")


def refuse_folder(path: Path, *, example: str) -> None:
    """Refuse a path that is a folder.

    Raises:
        FileError: it is one, or no file can have this name.
    """
    if is_folder(path):
        raise FileError(f"{str(path)!r} is a folder; name a file in it, such as {str(path / example)!r}.")


def write_whole(path: Path, data: bytes | Write) -> None:
    """Write a file all or nothing, from bytes or by a function; one that is overwritten keeps who may read it.

    A link is followed. What is no file, such as a device or a pipe, is written into and not replaced.

    Raises:
        FileError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data if isinstance(data, bytes) else written(data))
            return
        path = Path(os.path.realpath(path))
        if path.is_symlink():
            raise FileError(f"{str(path)!r} cannot be written: it is a link that leads to itself.")
        remove_leftovers(path.parent)
        _replace(path, data)
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _cannot_be_written(path, error) from None


def written(write: Write) -> bytes:
    """Give what a function writes."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _replace(path: Path, data: bytes | Write) -> None:
    # The name is known before the file is there: wherever somebody stops the program, it can be removed.
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(_RANDOM)}"
    try:
        with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            if _claim(file, wait=True) and not os.fstat(file.fileno()).st_nlink:
                _replace(path, data)  # somebody took the file for a leftover before it was claimed
                return
            if isinstance(data, bytes):
                file.write(data)
            else:
                data(file)
            file.flush()
            os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_mask())
            if fcntl is not None:  # claimed until it has its name
                os.replace(temporary, path)
        if fcntl is None:  # Windows renames no file that is open
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; those of living ones are claimed and stay.

    Where the system has no claims on files, as Windows, nothing is removed.
    """
    for leftover in folder.glob(TEMPORARY + "[0-9a-f]" * 2 * _RANDOM):
        with contextlib.suppress(OSError), leftover.open("rb+") as file:
            if _claim(file):
                leftover.unlink(missing_ok=True)


def _claim(file: IO[bytes], *, wait: bool = False) -> bool:
    """Claim an open file until it is closed, or its process dies; tell whether that was possible."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # somebody else's, or a file system without claims
        return False
    return True


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
