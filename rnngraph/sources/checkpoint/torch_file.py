"""PyTorch's own files: what `torch.save` writes, a zip archive or a pickle of the older kind.

In: a path. Out: `StoredArray`s by name. Nothing in the file is executed.
"""

from __future__ import annotations

import io
import pickletools
import warnings
import zipfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.archive import LARGEST_HEADER, check_archive, check_ratio, readable
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, MissingToolError, said
from rnngraph.sources.checkpoint.files import StoredArray

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
MOST_ENTRIES = 100_000  # of all tables together; a large model has some thousand
DEEPEST = 20
MOST_OPCODES = 1_000_000  # of a pickle; a tensor takes about thirty
_PICKLES = 4  # the older kind has a magic number, a version and the sizes of numbers in front of the weights


def read_torch(path: Path) -> list[StoredArray]:
    """Index what `torch.save` wrote: a state dict, or a training checkpoint that holds one.

    Raises:
        FileError: it is damaged, of another format, or holds objects that would have to be executed.
        MissingToolError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingToolError(
            f"{path} is read with PyTorch, which is not installed; pip install 'rnngraph[torch]' brings it."
        ) from None
    _check_form(path)
    try:
        with warnings.catch_warnings():  # of old formats; what matters is said below
            warnings.simplefilter("ignore")
            # Mapped, the tensors that nobody reads take no memory.
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_may_be_mapped(path))
    except Exception as error:  # damage, or an object that would have to be executed
        text = said(error, longest=None)
        if "weights_only" in text or "WeightsUnpickler" in text:
            raise FileError(
                f"{path} cannot be read without executing what is in it, because it holds more than weights; "
                "save model.state_dict() alone."
            ) from None
        raise FileError(f"{path} cannot be read: {said(error).removesuffix('.')}.") from None
    return [_tensor(path, name, tensor, table) for name, (tensor, table) in _tensors(path, loaded).items()]


def _check_form(path: Path) -> None:
    """Tell damage from contents that are not read, by what the file begins with.

    Raises:
        FileError: it is neither a whole zip archive nor a whole pickle, or an archive that lies about its sizes.
    """
    with readable(path), path.open("rb") as file:
        start = io.BytesIO(file.read(LARGEST_HEADER))
    magic = start.getvalue()[:4]
    if magic == _ZIP:
        with readable(path):  # also this question can fail
            if not zipfile.is_zipfile(path):
                raise FileError(f"{path} cannot be read: it begins as a zip archive and breaks off; it is damaged.")
        with readable(path), zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
            for entry in archive.infolist():
                if entry.filename.endswith("/data.pkl") and entry.file_size <= LARGEST_HEADER:
                    _walk_pickle(path, io.BytesIO(archive.read(entry)))
    elif magic[:1] == _PICKLE:
        for _ in range(_PICKLES):
            if start.tell() < len(start.getvalue()):
                _walk_pickle(path, start)
    else:
        raise FileError(
            f"{path} cannot be read: it begins neither as a zip archive nor as a pickle, as PyTorch's files do; it is "
            "damaged or of another format."
        )


def _may_be_mapped(path: Path) -> bool:
    """Tell whether the numbers lie in the file as they are, which a packed or an older file has not."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _walk_pickle(path: Path, file: io.BytesIO) -> None:
    """Read a pickle's opcodes without following them."""
    try:
        for number, (_, argument, _) in enumerate(pickletools.genops(file)):
            if number > MOST_OPCODES:
                raise FileError(f"{path} is refused: its pickle has more than {MOST_OPCODES} parts.")
            # PyTorch allows it, and a length of a few bytes then takes gigabytes.
            if isinstance(argument, str) and argument.endswith("bytearray"):
                raise FileError(f"{path} is refused: it holds a bytearray; save model.state_dict() alone.")
    except FileError:
        raise
    except Exception:  # opcodes that are none, or arguments that break off
        raise FileError(f"{path} cannot be read: its pickle is damaged.") from None


def _tensors(path: Path, loaded: Any) -> dict[str, tuple[Any, str]]:
    """Collect tensors from nested tables, under names joined by dots, each with the name of its table.

    A table that is shared is walked once.

    Raises:
        FileError: a table lies in itself, or they are nested deeper or are more than a checkpoint's.
    """
    found: dict[str, tuple[Any, str]] = {}
    walked: set[int] = set()
    pending: deque[tuple[str, Any, str, tuple[int, ...]]] = deque([("", loaded, "", ())])
    while pending:
        name, value, table, around = pending.popleft()
        if hasattr(value, "detach") and hasattr(value, "shape"):
            found[name] = value, table
        elif isinstance(value, Mapping):
            if id(value) in around or len(around) >= DEEPEST:
                reason = "lies in itself" if id(value) in around else f"is nested more than {DEEPEST} deep"
                raise FileError(f"{path} is refused: its table {name[:80]} {reason}.")
            if id(value) in walked:
                continue
            walked.add(id(value))
            inside = (*around, id(value))
            for key, one in value.items():
                if isinstance(key, str):
                    pending.append((f"{name}.{key}" if name else key, one, name, inside))
            if len(pending) > MOST_ENTRIES:
                raise FileError(f"{path} is refused: its tables have more than {MOST_ENTRIES} entries.")
    return found


def _tensor(path: Path, name: str, tensor: Any, table: str) -> StoredArray:
    def read() -> Array:
        if str(tensor.layout) != "torch.strided" or tensor.is_meta or tensor.is_quantized:
            raise FileError(f"{name} in {path} is sparse, quantised or without values, and is not read: save it dense.")
        # A view can be far larger than its storage, and a storage that is only declared larger than the file.
        stored, shown = tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()
        check_ratio(path, max(shown, stored), min(stored, path.stat().st_size))
        wide = tensor.detach().float() if str(tensor.dtype) in ("torch.bfloat16", "torch.float16") else tensor.detach()
        return np.asarray(wide.contiguous().numpy())

    # Quantised weights are of a dtype that is not floating either, and are weights.
    floating = tensor.is_quantized or tensor.dtype.is_floating_point or tensor.dtype.is_complex
    return StoredArray(name, tuple(int(one) for one in tensor.shape), path, read, floating, table)
