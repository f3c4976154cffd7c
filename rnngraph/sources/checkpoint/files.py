"""Read a checkpoint's arrays safely: nothing in the file is executed, and sizes are checked before memory is taken.

In: a path. Out: `StoredArray`s by name; their shapes are known at once, their values are read when asked for.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError

LARGEST_ARRAY = 2 * 2**30  # bytes of one array that is read
LARGEST_RATIO = 1100  # of unpacked to packed bytes; deflate cannot pack zeros further
LARGEST_HEADER = 64 * 2**20
UNPACKED_FREELY = 64 * 2**20  # bytes that a file may unpack to whatever its ratio
HONEST_RATIO = 100  # numbers of a trained network hardly pack at all
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array in a file: what its header says, and how to read it.

    `floating` is False for integers and booleans, which are no weights. `table` is the name of the nested table that
    the array lies in, and empty where the file has none.
    """

    name: str
    shape: tuple[int, ...]
    source: Path
    reader: Callable[[], Array]
    floating: bool = True
    table: str = ""

    def read(self) -> Array:
        """Read the values; floating point numbers narrower than float32 become float32.

        Raises:
            FileError: the array is too large or does not hold what its header says.
        """
        size = 8 * math.prod(self.shape)
        if size > LARGEST_ARRAY:
            raise FileError(
                f"{self.name} in {self.source} has shape {self.shape}, more than may be read ({LARGEST_ARRAY} bytes)."
            )
        with readable(self.source):
            array = self.reader()
        if array.shape != self.shape:
            raise FileError(f"{self.name} in {self.source} holds {array.shape}, but its header says {self.shape}.")
        return array.astype(np.float32) if array.dtype == np.float16 else array


@contextmanager
def readable(path: Path) -> Iterator[None]:
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
    except Exception as error:  # the readers of foreign formats raise almost anything
        text = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise FileError(f"{path} cannot be read: {text}.") from None


def read_npz(path: Path) -> list[StoredArray]:
    """Index a NumPy archive; every member's header is held to the size that the archive declares.

    Raises:
        FileError: it is no such archive, is damaged, holds Python objects, or would unpack to far more than it is.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        check_archive(path, archive)
        entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
        if not entries:
            raise FileError(f"{path} holds no arrays.")
        return [_npz_entry(path, archive, entry) for entry in entries]


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that unpacks to far more than it can honestly hold.

    Raises:
        FileError: it does.
    """
    for entry in archive.infolist():
        if entry.file_size > LARGEST_RATIO * max(entry.compress_size, 1):
            raise FileError(
                f"{path} is refused: {entry.filename} claims {entry.file_size} bytes in "
                f"{entry.compress_size} packed ones."
            )
    total = sum(entry.compress_size for entry in archive.infolist())
    if total > path.stat().st_size:
        raise FileError(f"{path} is refused: its parts are said to take {total} bytes, more than the file has.")
    check_ratio(path, sum(entry.file_size for entry in archive.infolist()), total)


def check_ratio(path: Path, unpacked: int, packed: int) -> None:
    """Refuse what is small on disk and would fill the memory.

    Raises:
        FileError: it is packed further than numbers can be.
    """
    if unpacked > UNPACKED_FREELY and unpacked > HONEST_RATIO * packed:
        raise FileError(
            f"{path} is refused: it would unpack from {packed} to {unpacked} bytes, more than {HONEST_RATIO} times; "
            "save it without compression if it is yours."
        )


def _npz_entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray:
    name = entry.filename.removesuffix(".npy")
    with archive.open(entry) as file:
        shape, floating = _npy_header(path, name, file, entry.file_size)

    def read() -> Array:
        with zipfile.ZipFile(path) as again, again.open(entry) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    return StoredArray(name, shape, path, read, floating)


def _npy_header(path: Path, name: str, file: Any, size: int) -> tuple[tuple[int, ...], bool]:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject:
        raise FileError(f"{name} in {path} holds Python objects, which are never read; save numbers only.")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise FileError(f"{name} in {path} says it has shape {shape}, but {size - file.tell()} bytes are there.")
    return tuple(int(one) for one in shape), dtype.kind not in "iub"


def read_folder(path: Path) -> list[StoredArray]:
    """Index a folder of `.npy` files, each named as its array is.

    Raises:
        FileError: there is none, or one is damaged or holds Python objects.
    """
    files = sorted(path.glob("*.npy"))
    if not files:
        raise FileError(f"the folder {path} holds no .npy files.")
    return [_npy_entry(file) for file in files]


def _npy_entry(path: Path) -> StoredArray:
    with readable(path), path.open("rb") as file:
        shape, floating = _npy_header(path, path.stem, file, path.stat().st_size)
    return StoredArray(path.stem, shape, path, lambda: np.asarray(np.load(path, allow_pickle=False)), floating)


def read_safetensors(path: Path) -> list[StoredArray]:
    """Index a safetensors file: eight bytes with the header's length, a JSON header, then the raw numbers.

    Raises:
        FileError: the header lies about the file, or names a type that is not known.
    """
    with readable(path), path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise FileError(f"{path} is no safetensors file: its header claims {length} of its {size} bytes.")
        header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise FileError(f"{path} is no safetensors file: its header is no table.")
        header.pop("__metadata__", None)
        return [_safetensors_entry(path, name, entry, 8 + length, size) for name, entry in header.items()]


def _safetensors_entry(path: Path, name: str, entry: Any, start: int, size: int) -> StoredArray:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(one) for one in entry["shape"])
        first, last = (int(one) for one in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise FileError(f"{name} in {path} has no proper dtype, shape and data_offsets: it is damaged.") from None
    width = 2 if dtype == "BF16" else np.dtype(_SAFETENSORS[dtype]).itemsize if dtype in _SAFETENSORS else 0
    if width and (min(shape, default=1) < 0 or not 0 <= first <= last or start + last > size):
        raise FileError(f"{name} in {path} is said to lie at bytes {first} to {last}, outside of the file.")
    if width and math.prod(shape) * width != last - first:
        raise FileError(f"{name} in {path} says it has shape {shape}, but {last - first} bytes are there.")

    def read() -> Array:
        if not width:
            raise FileError(f"{name} in {path} is of type {dtype}, which is not read; store it as F32.")
        with path.open("rb") as file:
            file.seek(start + first)
            raw = file.read(last - first)
        if dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return np.frombuffer(raw, _SAFETENSORS[dtype]).reshape(shape)

    return StoredArray(name, shape, path, read, floating=dtype[:1] not in "IUB" or dtype == "BF16")
