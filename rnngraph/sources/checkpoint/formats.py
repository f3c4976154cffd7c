"""The table of checkpoint formats.

In: a path. Out: `StoredArray`s by name, and what a `.keras` file says of its layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rnngraph.errors import FileError
from rnngraph.sources.checkpoint.files import (
    StoredArray,
    plain_name,
    read_npy,
    read_npz,
    read_safetensors,
)
from rnngraph.sources.checkpoint.keras import Settings, read_h5, read_keras
from rnngraph.sources.checkpoint.msgpack_file import read_msgpack
from rnngraph.sources.checkpoint.torch_file import read_torch
from rnngraph.sources.checkpoint.weight_norm import without_weight_norm


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The arrays of a file by name; `settings` are a `.keras` file's options of a layer, by the layer's name."""

    path: Path
    arrays: dict[str, StoredArray]
    settings: Settings = field(default_factory=dict)
    folded: tuple[str, ...] = ()  # weights that are put together from their length and direction


# Where a training run keeps what its optimiser knows of every weight, which has the weight's name and shape.
_MOMENTS = re.compile(r"(^|[./])(optimizer|opt_state[./])")
NAME_THEM = (
    "Then write np.savez('weights.npz', **{jax.tree_util.keystr(path, simple=True, separator='.'): leaf for path, leaf "
    "in jax.tree_util.tree_leaves_with_path(model) if hasattr(leaf, 'shape')})"
)


def read_file(source: Path) -> Checkpoint:
    """Index a file by its suffix, under the names that it has itself; nothing in it is executed.

    Raises:
        FileError: the file is of no known format, is damaged, or lies about its sizes.
        MissingToolError: its format needs a package that is not installed.
    """
    if source.exists() and not source.is_file():  # a pipe would be waited for without end
        raise FileError(f"{source} is no regular file, and only such are opened.")
    if not source.is_file():
        raise FileError(f"there is no checkpoint {source}.")
    name = source.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader(source)
    if name.endswith(".eqx"):
        raise FileError(f"{source} holds arrays without names: load it into its model. {NAME_THEM}")
    known = ", ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    raise FileError(f"{source} has a suffix of no known checkpoint format: {known}, or a folder.")


def _checkpoint(path: Path, arrays: list[StoredArray], settings: Settings | None = None) -> Checkpoint:
    plain, folded = without_weight_norm({plain_name(one.name): one for one in arrays if not _MOMENTS.search(one.name)})
    return Checkpoint(path, plain, settings or {}, folded)


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Checkpoint]], ...] = (
    ((".safetensors",), lambda path: _checkpoint(path, read_safetensors(path))),
    ((".npz",), lambda path: _checkpoint(path, read_npz(path))),
    ((".pt", ".pth", ".ckpt", ".bin"), lambda path: _checkpoint(path, read_torch(path))),
    ((".h5", ".hdf5"), lambda path: _checkpoint(path, read_h5(path))),
    ((".keras",), lambda path: _checkpoint(path, *read_keras(path))),
    ((".msgpack",), lambda path: _checkpoint(path, read_msgpack(path))),
    ((".npy",), lambda path: _checkpoint(path, [read_npy(path)])),
)
