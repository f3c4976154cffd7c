"""The table of checkpoint formats.

In: a path. Out: `StoredArray`s by name, and what a `.keras` file says of its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import (
    StoredArray,
    plain_name,
    read_folder,
    read_npz,
    read_safetensors,
)
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import with_joined_gates
from rnngraph.sources.checkpoint.hand_written.packed import with_split_gates
from rnngraph.sources.checkpoint.hand_written.simple import with_usual_names
from rnngraph.sources.checkpoint.jax_cells import with_torch_names
from rnngraph.sources.checkpoint.joined_kernels import with_split_kernels
from rnngraph.sources.checkpoint.keras import Settings, read_h5, read_keras
from rnngraph.sources.checkpoint.torch_file import read_torch
from rnngraph.sources.checkpoint.weight_norm import without_weight_norm


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The arrays of a file by name; `settings` are a `.keras` file's options of a layer, by the layer's name."""

    path: Path
    arrays: dict[str, StoredArray]
    settings: Settings = field(default_factory=dict)
    folded: tuple[str, ...] = ()  # weights that are put together from their length and direction


def open_checkpoint(path: str | Path, told: Mapping[str, str]) -> Checkpoint:
    """Index a checkpoint by its suffix; nothing in it is executed. `told` is what names and shapes leave open.

    Raises:
        InputError: a suffix of no known format.
        FileError: the file is damaged, lies about its sizes, or holds no arrays.
        MissingToolError: its format needs a package that is not installed.
    """
    source = Path(path)
    found = _checkpoint(source, read_folder(source)) if source.is_dir() else read_file(source)
    if not found.arrays:
        raise FileError(f"{source} holds no arrays.")
    arrays, settings = with_split_kernels(with_torch_names(with_usual_names(found.arrays)))
    arrays = with_joined_gates(with_split_gates(arrays, told), told)
    return replace(found, arrays=arrays, settings={**found.settings, **settings})


def read_file(source: Path) -> Checkpoint:
    """Index a file under the names that it has itself; see `open_checkpoint`."""
    if not source.is_file():
        raise FileError(f"there is no checkpoint {source}.")
    name = source.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader(source)
    known = ", ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    raise InputError(f"{source} has a suffix of no known checkpoint format: {known}, or a folder.")


def _checkpoint(path: Path, arrays: list[StoredArray], settings: Settings | None = None) -> Checkpoint:
    plain, folded = without_weight_norm({plain_name(one.name): one for one in arrays})
    return Checkpoint(path, plain, settings or {}, folded)


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Checkpoint]], ...] = (
    ((".safetensors",), lambda path: _checkpoint(path, read_safetensors(path))),
    ((".npz",), lambda path: _checkpoint(path, read_npz(path))),
    ((".pt", ".pth", ".ckpt", ".bin"), lambda path: _checkpoint(path, read_torch(path))),
    ((".h5", ".hdf5"), lambda path: _checkpoint(path, read_h5(path))),
    ((".keras",), lambda path: _checkpoint(path, *read_keras(path))),
)
