"""A checkpoint as its owner keeps it: a file of some format, shards with an index, or a folder as Hugging Face has it.

In: a path. Out: a `Checkpoint` of which nothing but the headers has been read; `_READERS` is the table of formats.
Files from others are data: nothing in them is executed, and an index names no file outside its folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from rnngraph.archive import LARGEST_HEADER
from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import StoredArray, plain_name, read_npy, read_npz, read_safetensors
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import TOLD, with_joined_gates
from rnngraph.sources.checkpoint.hand_written.packed import with_split_gates
from rnngraph.sources.checkpoint.keras import Settings, read_h5, read_keras
from rnngraph.sources.checkpoint.library_cells import with_usual_cells
from rnngraph.sources.checkpoint.msgpack_file import read_msgpack
from rnngraph.sources.checkpoint.torch_file import read_torch
from rnngraph.sources.checkpoint.weight_norm import without_weight_norm

_Content: TypeAlias = tuple[list[StoredArray], Settings]
INDEX = ".index.json"
# What a folder holds, in the order in which it is looked for: the first pattern that is there is read.
_IN_FOLDER = (
    f"model.safetensors{INDEX}", f"*.safetensors{INDEX}", "model.safetensors", "*.safetensors",
    f"pytorch_model.bin{INDEX}", "pytorch_model*.bin", "*.pt", "*.pth", "*.npy",
)  # fmt: skip
_ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt")
# Where a training run keeps what its optimiser knows of every weight, which has the weight's name and shape.
_MOMENTS = re.compile(r"(^|[./])(optimizer|opt_state[./])")
_NAME_THEM = (
    "Then write np.savez('weights.npz', **{jax.tree_util.keystr(path, simple=True, separator='.'): leaf for path, leaf "
    "in jax.tree_util.tree_leaves_with_path(model) if hasattr(leaf, 'shape')})"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The arrays of a file by name; `settings` are a `.keras` file's options of a layer, by the layer's name."""

    path: Path
    arrays: dict[str, StoredArray]
    settings: Settings
    folded: tuple[str, ...]  # weights that are put together from their length and direction


def open_checkpoint(path: str | Path, told: Mapping[str, str]) -> Checkpoint:
    """Index a checkpoint under usual names; `told` is what names and shapes leave open.

    Raises:
        InputError: what names and shapes leave open was not told, or told without use.
        FileError, MissingToolError: see `read_checkpoint`.
    """
    found = read_checkpoint(Path(path))
    arrays, settings = with_usual_cells(found.arrays)
    arrays, used = with_split_gates(arrays, told)
    arrays, asked = with_joined_gates(arrays, told)
    idle = next((key for key in (*TOLD, "gates", "bias") if key in told and key not in used | asked), None)
    if idle is not None:
        raise InputError(f"--layer {idle}={told[idle]} has no use: the file holds nothing of which it must be told.")
    return replace(found, arrays=arrays, settings={**found.settings, **settings})


def read_checkpoint(path: Path) -> Checkpoint:
    """Index a checkpoint under the names that it has itself.

    Raises:
        FileError: there is none, it is of no known format, damaged or without arrays, it lies about its sizes, or a
            shard is missing.
        MissingToolError: its format needs a package that is not installed.
    """
    chosen = _in_folder(path) if path.is_dir() else [path]
    if chosen[0].name.endswith(INDEX) and chosen[0].is_file():
        return _indexed(path, chosen[0])
    return _joined(path, chosen)


def _in_folder(folder: Path) -> list[Path]:
    for pattern in _IN_FOLDER:
        if found := sorted(folder.glob(pattern)):
            return found[:1] if pattern.endswith(INDEX) else found
    if any((folder / one).exists() for one in _ORBAX):
        raise FileError(f"the folder {folder} is orbax's: restore it with orbax, as `model`. {_NAME_THEM}")
    raise FileError(
        f"the folder {folder} holds no weights: no .safetensors, .bin, .pt, .pth or .npy, and no index of any."
    )


def _indexed(path: Path, index: Path) -> Checkpoint:
    """Read an index, and the headers of the shards that it names."""
    try:
        if index.stat().st_size > LARGEST_HEADER:
            raise FileError(f"{index} has {index.stat().st_size} bytes, more than an index may have.")
        table = json.loads(index.read_text(encoding="utf-8"))
        places = {str(name): str(file) for name, file in table["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FileError(f"{index} is no index of shards: it has no weight_map of names and files.") from None
    shards = sorted(set(places.values()))
    for shard in shards:
        if Path(shard).name != shard or shard in ("", ".", ".."):
            raise FileError(f"{index} names the file {shard!r}, which is not in its folder: it is not read.")
        if not (index.parent / shard).is_file():
            raise FileError(f"{index} names {shard}, but there is no such file beside it: fetch it as well.")
    return _joined(path, [index.parent / shard for shard in shards], places)


def _joined(path: Path, files: Iterable[Path], places: Mapping[str, str] | None = None) -> Checkpoint:
    """Put files together; `places` names the file in which an array must be."""
    arrays, settings = dict[str, StoredArray](), Settings()
    for file in files:
        some, options = _read_file(file)
        own = {plain_name(one.name): one for one in some}
        twice = next((name for name in own if name in arrays), None)
        if twice is not None:
            raise FileError(f"{file} holds {twice}, which another file beside it holds too: name the one you mean.")
        arrays |= own
        settings |= options
    for name, place in (places or {}).items():
        if plain_name(name) not in arrays:
            raise FileError(f"the index of {path} says that {name} is in {place}, but it is not there.")
    plain, folded = without_weight_norm({name: one for name, one in arrays.items() if not _MOMENTS.search(name)})
    if not plain:
        raise FileError(f"{path} holds no arrays.")
    return Checkpoint(path, plain, settings, folded)


def _read_file(source: Path) -> _Content:
    """Index a file by its suffix."""
    if source.exists() and not source.is_file():  # a pipe would be waited for without end
        raise FileError(f"{source} is no regular file, and only such are opened.")
    if not source.is_file():
        raise FileError(f"there is no checkpoint {source}.")
    name = source.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader(source)
    if name.endswith(".eqx"):
        raise FileError(f"{source} holds arrays without names: load it into its model. {_NAME_THEM}")
    known = ", ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    raise FileError(f"{source} has a suffix of no known checkpoint format: {known}, or a folder.")


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], _Content]], ...] = (
    ((".safetensors",), lambda path: (read_safetensors(path), {})),
    ((".npz",), lambda path: (read_npz(path), {})),
    ((".pt", ".pth", ".ckpt", ".bin"), lambda path: (read_torch(path), {})),
    ((".h5", ".hdf5"), lambda path: (read_h5(path), {})),
    ((".keras",), read_keras),
    ((".msgpack",), lambda path: (read_msgpack(path), {})),
    ((".npy",), lambda path: ([read_npy(path)], {})),
)
