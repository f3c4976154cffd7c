"""What an archive of arrays says of itself, read and doubted before any memory is taken for what it holds.

In: an open zip archive, or the start of an `.npy` file. Out: shapes and types, or one sentence that refuses the file.
Traces, data and checkpoints are all read through here.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from rnngraph.errors import FileError, said

LARGEST_RATIO = 1100  # of unpacked to packed bytes; deflate cannot pack zeros further
UNPACKED_FREELY = 64 * 2**20  # bytes that a file may unpack to whatever its ratio
HONEST_RATIO = 100  # numbers of a network hardly pack at all
LARGEST_HEADER = 32 * 2**20  # bytes of a text that describes the rest; parsed, it takes twenty times as much
MOST_MEMBERS = 100_000
_PART = 2**20  # bytes that are unpacked at once


@dataclass(frozen=True, slots=True)
class Header:
    """What an `.npy` says of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def floating(self) -> bool:
        """Whether it holds numbers that could be weights."""
        return self.dtype.kind == "f"


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """Turn whatever a damaged file raises into one sentence.

    Raises:
        FileError: the file cannot be read as what it should be.
    """
    try:
        yield
    except FileError:
        raise
    except MemoryError:
        raise FileError(f"{path} needs more memory than there is.") from None
    except FileNotFoundError:
        raise FileError(f"there is no file {path}.") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or said(error)}.") from None
    except Exception as error:  # the readers of foreign formats raise almost anything
        raise FileError(f"{path} cannot be read: {said(error).removesuffix('.')}.") from None


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that unpacks to far more than it can honestly hold.

    Raises:
        FileError: it does.
    """
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS or len({entry.filename for entry in entries}) != len(entries):
        raise FileError(f"{path} is refused: its {len(entries)} parts are too many, or two of them have one name.")
    for entry in entries:
        if entry.file_size > LARGEST_RATIO * max(entry.compress_size, 1):
            raise FileError(
                f"{path} is refused: {entry.filename} claims {entry.file_size} bytes in "
                f"{entry.compress_size} packed ones."
            )
    total = sum(entry.compress_size for entry in entries)
    size = archive.fp.seek(0, 2) if archive.fp is not None else 0
    if total > size:
        raise FileError(f"{path} is refused: its parts are said to take {total} bytes, more than the file has.")
    check_ratio(path, sum(entry.file_size for entry in entries), total)


def check_ratio(path: Path, unpacked: int, packed: int) -> None:
    """Refuse what is small on disk and would fill the memory.

    Raises:
        FileError: it is packed further than numbers can be.
    """
    if is_packed_too_far(unpacked, packed):
        raise FileError(
            f"{path} is refused: it would unpack from {packed} to {unpacked} bytes, more than {HONEST_RATIO} times; "
            "save it without compression if it is yours."
        )


def is_packed_too_far(unpacked: int, packed: int) -> bool:
    """Tell whether `check_ratio` would refuse."""
    return unpacked > UNPACKED_FREELY and unpacked > HONEST_RATIO * packed


def array_headers(path: Path, archive: zipfile.ZipFile) -> dict[str, Header]:
    """Read what every array of an `.npz` says of itself, each held to the bytes that the archive has for it.

    Raises:
        FileError: the archive unpacks too far, or a header does not fit, or stands for Python objects.
    """
    check_archive(path, archive)
    found = {}
    for entry in archive.infolist():
        if entry.filename.endswith(".npy"):
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as file:
                found[name] = array_header(path, name, file, entry.file_size)
    return found


def read_member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray[Any, Any]:
    """Read an array whose header `array_headers` has found in order.

    Raises:
        FileError: its numbers are damaged.
    """
    with readable(path), archive.open(f"{name}.npy") as file:
        shape, by_columns, dtype = _start(file)
        data, at = bytearray(archive.getinfo(f"{name}.npy").file_size - file.tell()), 0  # one that grows takes twice
        while part := file.read(_PART):
            data[at : at + len(part)] = part
            at += len(part)
        return np.ndarray(shape, dtype, data, order="F" if by_columns else "C")


def array_header(path: Path, name: str, file: IO[bytes], size: int) -> Header:
    """Read the header of an `.npy` of `size` bytes.

    Raises:
        FileError: it is none, stands for Python objects, or says another size.
    """
    try:
        shape, _, dtype = _start(file)
    except Exception:  # NumPy's own sentences take three lines and advise to allow pickles
        raise FileError(f"{name} in {path} cannot be read: it does not begin as an array does.") from None
    if dtype.hasobject:
        raise FileError(f"{name} in {path} holds Python objects, which are never read; save numbers only.")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise FileError(f"{name} in {path} says it has shape {shape}, but {size - file.tell()} bytes are there.")
    return Header(tuple(int(one) for one in shape), dtype)


def _start(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order and type from the start of an `.npy`; NumPy refuses one of more than 10,000 letters."""
    start = file.read(8)
    start += file.read(2 if start[6:] == b"\1\0" else 4)
    return _parsed(start + file.read(min(int.from_bytes(start[8:], "little"), 20_000)))


@lru_cache(256)
def _parsed(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Parse a start, which many arrays of an archive share."""
    file = io.BytesIO(start)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)
