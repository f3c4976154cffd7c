"""Mutations of HDF5 files and `.keras` archives: types, shapes, links and storages of a strange writer."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import h5py
import numpy as np

from tests.fuzz.arrays import mutate_zip
from tests.fuzz.values import mutate_bytes, mutate_tree, text

LAYER = "layers/lstm/cell/vars"


def mutate_h5(random: Random, data: bytes) -> bytes:
    """Damage a file, or write one anew with something strange in it."""
    return mutate_bytes(random, data) if random.random() < 0.5 else strange(random)


def mutate_keras(random: Random, data: bytes) -> bytes:
    """Change an archive, its weights or its config."""
    return mutate_zip(random, data, _member)


def _member(random: Random, name: str, data: bytes) -> bytes:
    if name.endswith(".h5"):
        return mutate_h5(random, data)
    tree = json.loads(data)
    for _ in range(random.choice([1, 2, 4])):
        tree = mutate_tree(random, tree)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def strange(random: Random) -> bytes:
    """Write an LSTM's weights as nobody would."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        group = file.create_group(LAYER)
        for name, shape in (("0", (3, 16)), ("1", (4, 16)), ("2", (16,))):
            group.create_dataset(name, data=np.full(shape, 0.1))
        name = random.choice(["0", "1", "2", "3"])
        kind = random.randrange(10)
        if kind != 9 and name in group and kind != 8:
            del group[name]
        if kind == 0:
            group.create_dataset(name, shape=(2**20, 2**20), dtype="f4", chunks=(2**10, 2**10), compression="gzip")
        elif kind == 1:
            group.create_dataset(name, data=_odd(random))
        elif kind == 2:
            group[name] = h5py.ExternalLink(random.choice(["/etc/passwd", "other.h5"]), "/a")
        elif kind == 3:
            group[name] = h5py.SoftLink(random.choice(["/" + LAYER, "/nowhere", "."]))
        elif kind == 4:
            group[name] = file
        elif kind == 5:
            group.create_dataset(name, shape=(4, 16), dtype="f8", external=[("/etc/passwd", 0, 512)])
        elif kind == 6:
            layout = h5py.VirtualLayout(shape=(4, 16), dtype="f8")
            layout[:] = h5py.VirtualSource("other.h5", "a", shape=(4, 16))
            group.create_virtual_dataset(name, layout)
        elif kind == 7:
            group.create_dataset(name, data=np.zeros((2000, 2000)), chunks=True, compression="gzip", fillvalue=1.0)
        elif kind == 8:
            strange_name = text(random).replace("\0", "")[:1000].encode("utf-8", "replace") or b"x"
            group.create_dataset(strange_name, data=np.zeros((4, 16)))
        else:
            deep = file
            for _ in range(300):
                deep = deep.create_group("a")
            deep.create_dataset("recurrent_kernel", data=np.zeros((4, 16)))
    return out.getvalue()


def _odd(random: Random) -> Any:
    return random.choice(
        [
            np.zeros((4, 16), "i8"), np.zeros((4, 16), "f2"), np.zeros((4, 16), "c16"), np.zeros((0, 16)),
            np.array(1.0), np.zeros((4, 16), [("a", "f8")]), "text", np.array(["a", "b"], h5py.string_dtype()),
            h5py.Empty("f8"), np.zeros((4, 15)), np.zeros(16), np.full((4, 16), np.nan), np.zeros((4, 16, 1)),
            np.zeros((1,) * 32),
        ]
    )  # fmt: skip
