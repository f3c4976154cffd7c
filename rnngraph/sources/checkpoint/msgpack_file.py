"""Read what flax writes with `serialization.to_bytes`: MessagePack, of tables in tables with arrays in them.

In: a path. Out: `StoredArray`s; names of tables and array are joined by a stroke. MessagePack is data: nothing in it
can be executed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.archive import readable
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, MissingToolError
from rnngraph.sources.checkpoint.files import LARGEST_ARRAY, StoredArray, widened

_ARRAY = 1  # what flax says of an extension that is an array: its shape, the name of its type, its numbers
_IN_PARTS = "__msgpack_chunked_array__"


def read_msgpack(path: Path) -> list[StoredArray]:
    """Index a file; all of it is held in memory.

    Raises:
        FileError: it is damaged, too large, or lies about a shape.
        MissingToolError: msgpack is not installed.
    """
    try:
        import msgpack
    except ImportError:
        raise MissingToolError(f"{path} is read with msgpack, which is not installed; pip install msgpack.") from None
    with readable(path):
        if path.stat().st_size > LARGEST_ARRAY:
            raise FileError(f"{path} has {path.stat().st_size} bytes, more than may be read ({LARGEST_ARRAY}).")
        tree = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
        return [_array(path, name, *msgpack.unpackb(data)) for name, data in sorted(_data(path, tree))]


def _data(path: Path, tree: Any) -> Iterator[tuple[str, bytes]]:
    pending = [("", tree)]
    while pending:
        name, one = pending.pop()
        if isinstance(one, dict) and _IN_PARTS in one:
            raise FileError(f"{name} in {path} is stored in parts, as arrays beyond a gigabyte are, and is not read.")
        if isinstance(one, dict):
            pending.extend((f"{name}/{key}".lstrip("/"), value) for key, value in one.items())
        elif getattr(one, "code", None) == _ARRAY:
            yield name, one.data


def _array(path: Path, name: str, shape: list[int], dtype: str, raw: bytes) -> StoredArray:
    narrow = dtype == "bfloat16"
    kind = np.dtype("<u2" if narrow else dtype)
    if kind.kind not in "fiub" or min(shape, default=1) < 0 or math.prod(shape) * kind.itemsize != len(raw):
        raise FileError(f"{name} in {path} says it is {dtype} {tuple(shape)}, but {len(raw)} bytes are there.")

    def read() -> Array:
        found = np.frombuffer(raw, kind).reshape(shape)
        return widened(found) if narrow else found

    return StoredArray(name, tuple(shape), path, read, narrow or kind.kind == "f")
