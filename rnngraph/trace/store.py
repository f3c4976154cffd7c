"""Save a trace as one `.npz` and read it back: arrays as they are, everything else as one JSON text.

Dataclasses are taken apart and put together by their declared types, so that a new column needs no code here.
A file is data from a stranger: no pickle is read, sizes are checked against the file, and whatever does not fit is
refused.
"""

from __future__ import annotations

import json
import math
import types
import zipfile
import zlib
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, TypeAlias, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from rnngraph.archive import LARGEST_HEADER, Header, array_headers, is_packed_too_far, read_member
from rnngraph.errors import FileError, InputError, said
from rnngraph.files import check_place, open_to_read, path_of, write_whole, written
from rnngraph.trace.consistent import check_shapes, check_trace
from rnngraph.trace.model import Trace

Array: TypeAlias = NDArray[Any]

SCHEMA = 4
_READ = (3, SCHEMA)  # a trace of 3 lacks columns that have a default
_MARK = "rnngraph trace"
_HEADER = "header"
_EXAMPLE = "run.npz"
_LARGEST = 4 * 2**30  # bytes that a trace may unpack to
_SAMPLES, _SAMPLE, _WORTH = 8, 8192, 0.75  # parts of a column that are tried, their bytes, and what they must shrink to


def save(trace: Trace, path: str | Path) -> None:
    """Write the trace; see `Trace.save`."""
    target = path_of(path, example=_EXAMPLE)
    check_place(target, example=_EXAMPLE)
    write_whole(target, partial(write, trace))


def pack(trace: Trace) -> bytes:
    """Give what a file of the trace holds."""
    return written(partial(write, trace))


def write(trace: Trace, file: IO[bytes]) -> None:
    """Write what a file of the trace holds, into an empty file."""
    arrays: dict[str, Array] = {}
    tree = _take_apart(trace, "trace", arrays)
    header = json.dumps({"format": _MARK, "schema": SCHEMA, "trace": tree}, allow_nan=False)
    arrays[_HEADER] = np.frombuffer(header.encode(), dtype=np.uint8)
    _zip(arrays, file, zipfile.ZIP_DEFLATED)
    size = sum(array.nbytes for array in arrays.values())
    if is_packed_too_far(size, file.tell()):  # `load` would not believe it
        file.seek(0)
        file.truncate()
        _zip(arrays, file, zipfile.ZIP_STORED)


def _zip(arrays: dict[str, Array], file: IO[bytes], method: int) -> None:
    """Write what `np.savez` does; what hardly shrinks, as most norms, is stored as it is."""
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, array in arrays.items():
            archive.compression = method if _shrinks(array) else zipfile.ZIP_STORED
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _shrinks(array: Array) -> bool:
    """Say whether compressing an array is worth its time, by some of its bytes."""
    if array.nbytes < _SAMPLES * _SAMPLE or not array.flags.c_contiguous:
        return True
    data = array.reshape(-1).view(np.uint8)
    starts = np.linspace(0, len(data) - _SAMPLE, _SAMPLES).astype(int).tolist()
    sample = b"".join(data[start : start + _SAMPLE].tobytes() for start in starts)
    return len(zlib.compress(sample, 1)) < _WORTH * len(sample)


def load(path: str | Path) -> Trace:
    """Read a trace; see `Trace.load`."""
    source = path_of(path, example=_EXAMPLE)
    file = open_to_read(source, wanted="a trace saved with `rnngraph trace -o run.npz`")
    try:
        with file, zipfile.ZipFile(file) as archive:
            headers = array_headers(source, archive)
            _check_size(source, headers)
            text = read_member(source, archive, _HEADER) if _HEADER in headers else None
            tree = _tree(source, json.loads(bytes(text)) if text is not None else None, headers)
            columns = {name: one for name, one in headers.items() if name != _HEADER}
            check_shapes(_trace(tree, {name: _unread(one) for name, one in columns.items()}))
            trace = _trace(tree, {name: read_member(source, archive, name) for name in columns})
        check_trace(trace)
        return trace
    except (FileError, InputError) as error:
        raise FileError(str(error) if str(source) in str(error) else f"{source} is damaged: {error}") from None
    except Exception as error:  # whatever a damaged archive makes the readers raise
        raise FileError(f"{source} is damaged or not a trace: {said(error).removesuffix('.')}.") from None


def _tree(source: Path, header: Any, headers: dict[str, Header]) -> Any:
    if not isinstance(header, dict) or header.get("format") != _MARK:
        held = ", ".join([name for name in headers if name != _HEADER][:5])
        raise FileError(f"{source} is not a trace; it holds {held or 'nothing'}.")
    if header.get("schema") not in _READ:
        raise FileError(
            f"{source} has schema {header.get('schema')!r:.40} and this version reads {SCHEMA}; update rnngraph."
        )
    return header.get("trace")


def _trace(tree: Any, arrays: dict[str, Array]) -> Trace:
    return cast(Trace, _put_together(tree, Trace, arrays))


def _unread(header: Header) -> Array:
    """Stand for an array that was not read: its shape and type, in the memory of one number."""
    return np.broadcast_to(np.zeros((), header.dtype), header.shape)


def _check_size(source: Path, headers: dict[str, Header]) -> None:
    size = sum(math.prod(one.shape) * one.dtype.itemsize for one in headers.values())
    if size > _LARGEST:
        raise FileError(f"{source} unpacks to {size} bytes, more than a trace may hold ({_LARGEST}).")
    if _HEADER in headers and (text := math.prod(headers[_HEADER].shape)) > LARGEST_HEADER:
        raise FileError(f"{source} has a header of {text} bytes, more than a trace may hold ({LARGEST_HEADER}).")


def _take_apart(item: Any, key: str, arrays: dict[str, Array]) -> Any:
    if isinstance(item, np.ndarray):
        arrays[key] = item
        return {"array": key}
    if is_dataclass(item) and not isinstance(item, type):
        return {
            field.name: _take_apart(getattr(item, field.name), f"{key}.{field.name}", arrays) for field in fields(item)
        }
    if isinstance(item, tuple):
        return [_take_apart(one, f"{key}.{place}", arrays) for place, one in enumerate(item)]
    if isinstance(item, float):
        return item if math.isfinite(item) else str(item)
    if isinstance(item, np.generic):
        return _take_apart(item.item(), key, arrays)
    return item


def _put_together(item: Any, kind: Any, arrays: dict[str, Array]) -> Any:
    origin = get_origin(kind)
    if origin in (np.ndarray, NDArray):  # NumPy's alias is opaque from 2.5 on
        return _array(item, kind, arrays)
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(item, dict):
            raise FileError(f"a {kind.__name__} is {type(item).__name__}.")
        columns, needed = _columns(kind)
        if odd := (set(item) - set(columns)) | (needed - set(item)):
            raise FileError(f"a {kind.__name__} has fields {sorted(odd)[:4]} too many or too few.")
        return kind(**{name: _put_together(one, columns[name], arrays) for name, one in item.items()})
    if origin is tuple:
        if not isinstance(item, list):
            raise FileError(f"a list is {type(item).__name__}.")
        return tuple(_put_together(one, get_args(kind)[0], arrays) for one in item)
    if origin is dict:
        if not isinstance(item, dict) or not all(isinstance(one, str) for pair in item.items() for one in pair):
            raise FileError("a table of names is not one.")
        return dict(item)
    if origin in (types.UnionType,):
        return None if item is None else _put_together(item, get_args(kind)[0], arrays)
    if kind is float and item in ("nan", "inf", "-inf"):
        return float(item)
    if kind is float and isinstance(item, int | float) and not isinstance(item, bool):
        return float(item)
    if kind in (int, str, bool) and type(item) is kind:
        return item
    raise FileError(f"{item!r:.60} stands where a {getattr(kind, '__name__', kind)} belongs.")


@cache
def _columns(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Give the declared types of a dataclass's fields by name, and which of them have no default."""
    hints, needed = get_type_hints(kind), (one for one in fields(kind) if one.default is one.default_factory is MISSING)
    return {one.name: hints[one.name] for one in fields(kind)}, frozenset(one.name for one in needed)


def _array(item: Any, kind: Any, arrays: dict[str, Array]) -> Array:
    """Take a column out of the archive; no two columns are one array, which a few bytes could ask for endlessly."""
    name = item.get("array") if isinstance(item, dict) and set(item) == {"array"} else None
    if not isinstance(name, str) or name not in arrays:
        raise FileError("a column of numbers is missing.")
    array = np.asarray(arrays.pop(name))
    last = get_args(kind)[-1]
    wanted = np.dtype((get_args(last) or (last,))[0])
    if array.dtype != wanted:
        raise FileError(f"{name} has dtype {array.dtype} instead of {wanted}.")
    return array
