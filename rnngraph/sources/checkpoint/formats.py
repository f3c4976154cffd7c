"""The table of checkpoint formats, and PyTorch's own files.

In: a path. Out: `StoredArray`s by name, and what a `.keras` file says of its layers.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, InputError, MissingToolError
from rnngraph.sources.checkpoint.files import (
    StoredArray,
    check_archive,
    check_ratio,
    read_folder,
    read_npz,
    read_safetensors,
    readable,
)
from rnngraph.sources.checkpoint.keras import Settings, read_h5, read_keras


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The arrays of a file by name; `settings` are a `.keras` file's options of a layer, by the layer's name."""

    path: Path
    arrays: dict[str, StoredArray]
    settings: Settings = field(default_factory=dict)


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Index a checkpoint by its suffix; nothing in it is executed.

    Raises:
        InputError: a suffix of no known format.
        FileError: the file is damaged, lies about its sizes, or holds no arrays.
        MissingToolError: its format needs a package that is not installed.
    """
    source = Path(path)
    if source.is_dir():
        return _checkpoint(source, read_folder(source))
    if not source.is_file():
        raise FileError(f"There is no checkpoint {source}.")
    name = source.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader(source)
    known = ", ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    raise InputError(f"{source} has a suffix of no known checkpoint format: {known}, or a folder of .npy files.")


def _checkpoint(path: Path, arrays: list[StoredArray], settings: Settings | None = None) -> Checkpoint:
    if not arrays:
        raise FileError(f"{path} holds no arrays.")
    return Checkpoint(path, {_plain(one.name): one for one in arrays}, settings or {})


def _plain(name: str) -> str:
    # What torch.compile and DistributedDataParallel put in front of every name.
    return name.removeprefix("module.").removeprefix("_orig_mod.").removeprefix("module.")


def _torch(path: Path) -> Checkpoint:
    try:
        import torch
    except ImportError:
        raise MissingToolError(
            f"{path} is read with PyTorch, which is not installed; run: pip install 'rnngraph[torch]'"
        ) from None
    if zipfile.is_zipfile(path):
        with readable(path), zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
    try:
        with warnings.catch_warnings():  # of old formats; what matters is said below
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage, or an object that would have to be executed
        text = " ".join(str(error).split())
        if "weights_only" in text or "WeightsUnpickler" in text:
            raise FileError(
                f"{path} cannot be read without executing what is in it, because it holds more than weights; "
                "save model.state_dict() alone."
            ) from None
        raise FileError(f"{path} cannot be read: {text[:150] or type(error).__name__}.") from None
    return _checkpoint(path, [_tensor(path, name, tensor) for name, tensor in _tensors(loaded).items()])


def _tensors(loaded: Any) -> dict[str, Any]:
    """Collect tensors from nested tables, under names joined by dots."""
    found: dict[str, Any] = {}
    pending = [("", loaded)]
    while pending:
        name, value = pending.pop(0)
        if hasattr(value, "detach") and hasattr(value, "shape"):
            found[name] = value
        elif isinstance(value, Mapping):
            for key, one in value.items():
                # A training checkpoint also holds the optimiser's copies of every weight.
                if isinstance(key, str) and not key.startswith("optimizer"):
                    pending.append((f"{name}.{key}" if name else key, one))
    return found


def _tensor(path: Path, name: str, tensor: Any) -> StoredArray:
    def read() -> Array:
        if str(tensor.layout) != "torch.strided" or tensor.is_meta or tensor.is_quantized:
            raise FileError(f"{name} in {path} is sparse, quantised or without values, and is not read: save it dense.")
        # A view can be far larger than the numbers that it shows.
        check_ratio(path, tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
        wide = tensor.detach().float() if str(tensor.dtype) in ("torch.bfloat16", "torch.float16") else tensor.detach()
        return np.asarray(wide.contiguous().numpy())

    return StoredArray(name, tuple(int(one) for one in tensor.shape), path, read)


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Checkpoint]], ...] = (
    ((".safetensors",), lambda path: _checkpoint(path, read_safetensors(path))),
    ((".npz",), lambda path: _checkpoint(path, read_npz(path))),
    ((".pt", ".pth"), _torch),
    ((".h5", ".hdf5"), lambda path: _checkpoint(path, read_h5(path))),
    ((".keras",), lambda path: _checkpoint(path, *read_keras(path))),
)
