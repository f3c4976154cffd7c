"""Read a checkpoint's arrays safely: nothing in the file is executed, and sizes are checked before memory is taken.

In: a path. Out: `StoredArray`s by name; their shapes are known at once, their values are read when asked for.
"""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.archive import LARGEST_HEADER, array_header, array_headers, read_member, readable
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError

LARGEST_ARRAY = 2 * 2**30  # bytes of one array that is read
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put in front of every name
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
    source: Path | str
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

    def read_weight(self) -> Array:
        """Read values that are weights.

        Raises:
            FileError: see `read`; or they are no floating point numbers.
        """
        array = self.read()
        if array.dtype.kind != "f":
            raise FileError(f"{self.name} in {self.source} holds {array.dtype}; weights are floating point numbers.")
        return array


def widened(halves: Array) -> Array:
    """Give the numbers of a bfloat16, which are the upper halves of float32s."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def plain_name(name: str) -> str:
    """Take off what wrappers put in front of every name."""
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def read_npz(path: Path) -> list[StoredArray]:
    """Index a NumPy archive; every member's header is held to the size that the archive declares.

    Raises:
        FileError: it is no such archive, is damaged, holds Python objects, or would unpack to far more than it is.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        headers = array_headers(path, archive)
    if not headers:
        raise FileError(f"{path} holds no arrays.")
    return [
        StoredArray(name, header.shape, path, partial(_npz_member, path, name), header.floating)
        for name, header in headers.items()
    ]


def _npz_member(path: Path, name: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        return read_member(path, archive, name)


def read_npy(path: Path) -> StoredArray:
    """Index a file of one array, which is named as it is.

    Raises:
        FileError: it is damaged or holds Python objects.
    """
    with readable(path), path.open("rb") as file:
        header = array_header(path, path.stem, file, path.stat().st_size)
    return StoredArray(path.stem, header.shape, path, partial(np.load, path, allow_pickle=False), header.floating)


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
        header = json.loads(file.read(length), object_pairs_hook=_once)
        if not isinstance(header, dict):
            raise FileError(f"{path} is no safetensors file: its header is no table.")
        header.pop("__metadata__", None)
        found = [_safetensors_entry(path, name, entry, 8 + length, size) for name, entry in header.items()]
    _check_apart(path, [(first, last, one.name) for one, first, last in found if last > first])
    return [one for one, _, _ in found]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def _check_apart(path: Path, places: list[tuple[int, int, str]]) -> None:
    """Refuse tensors that share bytes, which the format forbids.

    Raises:
        FileError: two do.
    """
    places.sort()
    for (_, last, name), (first, _, other) in itertools.pairwise(places):
        if first < last:
            raise FileError(f"{name} and {other} in {path} lie over each other, up to byte {last} and from {first}.")


def _safetensors_entry(path: Path, name: str, entry: Any, start: int, size: int) -> tuple[StoredArray, int, int]:
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
        if dtype == "BF16":
            return widened(np.frombuffer(raw, "<u2").reshape(shape))
        return np.frombuffer(raw, _SAFETENSORS[dtype]).reshape(shape)

    stored = StoredArray(name, shape, path, read, floating=dtype[:1] not in "IUB" or dtype == "BF16")
    return stored, first, last
