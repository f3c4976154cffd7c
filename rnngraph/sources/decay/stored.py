"""A checkpoint as `Weights`: one file, shards with an index, or a folder as Hugging Face writes it.

In: a path. Out: `Weights` of which nothing but the headers has been read, and the `config.json` beside them. Files from
others are data: nothing in them is executed, and an index names no file outside its folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rnngraph.archive import LARGEST_HEADER
from rnngraph.errors import FileError
from rnngraph.sources.checkpoint.files import StoredArray, plain_name
from rnngraph.sources.checkpoint.formats import read_file
from rnngraph.sources.decay.config import NAME, Config, read_config
from rnngraph.sources.decay.tensors import Weights

INDEX = ".index.json"
# What a folder holds, in the order in which it is looked for: the first pattern that is there is read.
_IN_FOLDER = (
    f"model.safetensors{INDEX}", f"*.safetensors{INDEX}", "model.safetensors", "*.safetensors",
    f"pytorch_model.bin{INDEX}", "pytorch_model*.bin", "*.pt", "*.pth",
)  # fmt: skip


def file_weights(path: Path) -> Weights:
    """Index a checkpoint.

    Raises:
        FileError: there is none, it is damaged, lies about its sizes, or a shard is missing.
        InputError: a suffix of no format that is read.
        MissingToolError: its format needs a package that is not installed.
    """
    if path.is_dir():
        chosen, folder = _in_folder(path), path
    elif path.is_file():
        chosen, folder = [path], path.parent
    else:
        raise FileError(f"there is no checkpoint {path}.")
    beside = folder / NAME
    config = read_config(beside) if beside.is_file() else Config({})
    if len(chosen) == 1 and chosen[0].name.endswith(INDEX):
        return Weights(str(path), _indexed(chosen[0]), config)
    return Weights(str(path), _joined(chosen), config)


def _in_folder(folder: Path) -> list[Path]:
    for pattern in _IN_FOLDER:
        if found := sorted(folder.glob(pattern)):
            return found[:1] if pattern.endswith(INDEX) else found
    raise FileError(f"the folder {folder} holds no weights: no .safetensors, .bin, .pt or .pth, and no index of any.")


def _indexed(index: Path) -> dict[str, StoredArray]:
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
    found = _joined(index.parent / shard for shard in shards)
    missing = next((name for name in places if plain_name(name) not in found), None)
    if missing is not None:
        raise FileError(f"{index} says that {missing} is in {places[missing]}, but it is not there.")
    return found


def _joined(files: Iterable[Path]) -> dict[str, StoredArray]:
    found: dict[str, StoredArray] = {}
    for file in files:
        for name, weight in read_file(file).arrays.items():
            if name in found:
                raise FileError(f"{file} holds {name}, which another file beside it holds too: name the one you mean.")
            found[name] = weight
    if not found:
        raise FileError("the checkpoint holds no tensors.")
    return found
