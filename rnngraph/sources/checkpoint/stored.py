"""A checkpoint as its owner keeps it: one file, shards with an index, or a folder as Hugging Face writes it.

In: a path. Out: a `Checkpoint` of which nothing but the headers has been read. Files from others are data: nothing in
them is executed, and an index names no file outside its folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from rnngraph.archive import LARGEST_HEADER
from rnngraph.errors import FileError
from rnngraph.sources.checkpoint.files import plain_name
from rnngraph.sources.checkpoint.formats import NAME_THEM, Checkpoint, read_file
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import with_joined_gates
from rnngraph.sources.checkpoint.hand_written.packed import with_split_gates
from rnngraph.sources.checkpoint.hand_written.simple import with_usual_names
from rnngraph.sources.checkpoint.jax_cells import with_torch_names
from rnngraph.sources.checkpoint.joined_kernels import with_split_kernels

INDEX = ".index.json"
# What a folder holds, in the order in which it is looked for: the first pattern that is there is read.
_IN_FOLDER = (
    f"model.safetensors{INDEX}", f"*.safetensors{INDEX}", "model.safetensors", "*.safetensors",
    f"pytorch_model.bin{INDEX}", "pytorch_model*.bin", "*.pt", "*.pth", "*.npy",
)  # fmt: skip
_ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt")


def open_checkpoint(path: str | Path, told: Mapping[str, str]) -> Checkpoint:
    """Index a checkpoint under usual names; `told` is what names and shapes leave open.

    Raises:
        InputError: what names and shapes leave open was not told, or told without use.
        FileError, MissingToolError: see `read_checkpoint`.
    """
    found = read_checkpoint(Path(path))
    arrays, settings = with_split_kernels(with_torch_names(with_usual_names(found.arrays)))
    arrays = with_joined_gates(with_split_gates(arrays, told), told)
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
        raise FileError(f"the folder {folder} is orbax's: restore it with orbax, as `model`. {NAME_THEM}")
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
    found = _joined(path, [index.parent / shard for shard in shards])
    missing = next((name for name in places if plain_name(name) not in found.arrays), None)
    if missing is not None:
        raise FileError(f"{index} says that {missing} is in {places[missing]}, but it is not there.")
    return found


def _joined(path: Path, files: Iterable[Path]) -> Checkpoint:
    found = Checkpoint(path, {})
    for file in files:
        one = read_file(file)
        twice = next((name for name in one.arrays if name in found.arrays), None)
        if twice is not None:
            raise FileError(f"{file} holds {twice}, which another file beside it holds too: name the one you mean.")
        found.arrays.update(one.arrays)
        found.settings.update(one.settings)
        found = replace(found, folded=(*found.folded, *one.folded))
    if not found.arrays:
        raise FileError(f"{path} holds no arrays.")
    return found
