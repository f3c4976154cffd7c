"""Read Keras 3's files: `.weights.h5`, and `.keras`, a zip of one with the model's config.

In: a path. Out: `StoredArray`s by name, and the options of the layers. Links that lead out of a file are not followed.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.archive import LARGEST_HEADER, LARGEST_RATIO, check_archive, check_ratio, readable
from rnngraph.errors import FileError, MissingToolError
from rnngraph.sources.checkpoint.files import LARGEST_ARRAY, StoredArray

Settings = dict[str, dict[str, Any]]  # a layer's options, by the layer's name


def read_keras(path: Path) -> tuple[list[StoredArray], Settings]:
    """Index a `.keras` archive, and read from its config what it says of the layers.

    Raises:
        FileError: it is no such archive, is damaged, or claims sizes that it does not have.
        MissingToolError: h5py is not installed.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        check_archive(path, archive)
        names = {entry.filename: entry for entry in archive.infolist()}
        if "model.weights.h5" not in names or "config.json" not in names:
            raise FileError(f"{path} is no Keras 3 file: it lacks model.weights.h5 or config.json.")
        if names["model.weights.h5"].file_size > LARGEST_ARRAY:
            raise FileError(f"{path} unpacks to {names['model.weights.h5'].file_size} bytes, more than may be read.")
        if names["config.json"].file_size > LARGEST_HEADER:
            raise FileError(f"{path} has a config.json of {names['config.json'].file_size} bytes, more than is read.")
        settings: Settings = {}
        _layer_settings(json.loads(archive.read("config.json")), settings)
        return read_h5(path, io.BytesIO(archive.read("model.weights.h5"))), settings


def _layer_settings(model: Any, found: Settings) -> None:
    """Collect the options of every layer of a Keras model, by its own name and by the name that it has in the file."""
    pending = [model]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending.extend(one)
        if not isinstance(one, dict):
            continue
        layers = one.get("layers")
        counts: dict[str, int] = {}
        for layer in layers if isinstance(layers, list) else ():
            if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
                kind = _snake_case(str(layer.get("class_name")))
                number = counts[kind] = counts.get(kind, -1) + 1
                options = {**layer["config"], "class_name": kind}
                found[f"{kind}_{number}" if number else kind] = options
                found.setdefault(str(options.get("name")), options)
        pending.extend(one.values())


def _snake_case(name: str) -> str:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name))
    return spaced.lower()


def read_h5(path: Path, file: Path | io.BytesIO | None = None) -> list[StoredArray]:
    """Index an HDF5 file; `file` is where its bytes are, if not at `path`.

    Raises:
        FileError: it is damaged, keeps numbers in other files, or claims sizes that it does not have.
        MissingToolError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            f"{path} is read with h5py, which is not installed; pip install 'rnngraph[keras]' brings it."
        ) from None
    with readable(path):
        items = dict(_datasets(h5py, h5py.File(file or path, "r")))
        found = [_dataset(path, name, items[name]) for name in sorted(items)]
        check_ratio(
            path, sum(one.nbytes for one in items.values()), sum(one.id.get_storage_size() for one in items.values())
        )
        return found


def _datasets(h5py: Any, file: Any) -> Iterator[tuple[str, Any]]:
    """Yield the numbers in a file by name; a soft or external link may lead out of it, and is not followed."""
    pending, seen = [("", file)], set()
    while pending:
        prefix, group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # hard links can make a circle
            continue
        seen.add(address)
        for key in (one for one in group if isinstance(group.get(one, getlink=True), h5py.HardLink)):
            if isinstance(group[key], h5py.Group):
                pending.append((f"{prefix}{key}/", group[key]))
            elif group[key].dtype.kind in "fiub":
                yield f"{prefix}{key}", group[key]


def _dataset(path: Path, name: str, item: Any) -> StoredArray:
    if item.external is not None or item.is_virtual:
        raise FileError(f"{name} in {path} keeps its numbers in another file, which is not read.")
    packed = item.id.get_storage_size()
    if item.nbytes > LARGEST_RATIO * max(packed, 1) + 65536:
        raise FileError(f"{name} in {path} claims {item.nbytes} bytes in {packed} packed ones, and is refused.")
    shape = tuple(int(one) for one in item.shape)
    return StoredArray(name, shape, path, lambda: np.asarray(item[()]), item.dtype.kind == "f")
