"""Mutations of `.npy` files and of archives: what they declare, what they hold, and how both disagree."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.case import CANARY
from tests.fuzz.values import NUMBERS, deep, mutate_bytes, mutate_tree, scalar, text

DTYPES = ("<f8", "<f4", "<f2", "<i8", "|u1", "|b1", "<c16", "|O", "<M8[s]", "|V100", "|S5", "<U7", ">f8", "|S0", "<f16",
          [("a", "<f8"), ("b", "|O")], "nonsense", None)  # fmt: skip


class Trap:
    """What makes a file if somebody reads the pickle that it is in."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path(CANARY),)


def npy(array: Any) -> bytes:
    """Write an array as it is, objects included."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), allow_pickle=True)
    return out.getvalue()


def declared(descr: Any, shape: Any, data: bytes, *, order: Any = False, version: bytes = b"\x01\0") -> bytes:
    """Write an `.npy` with this header, whatever it says of the data."""
    header = (repr({"descr": descr, "fortran_order": order, "shape": shape}) + "\n").encode("utf-8", "replace")
    size = struct.pack("<H", len(header) % 65536) if version == b"\x01\0" else struct.pack("<I", len(header))
    return b"\x93NUMPY" + version + size + header + data


def mutate_npy(random: Random, data: bytes) -> bytes:
    """Change an array's type, shape, values or header."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:
        return mutate_bytes(random, data)
    array = np.atleast_1d(array) if array.ndim == 0 and random.random() < 0.5 else array
    kind = random.randrange(10)
    raw = array.tobytes()
    if kind == 0:
        array = np.nan_to_num(array) if array.dtype.kind == "f" else array
        return npy(array.astype(random.choice(["f8", "f4", "f2", "i8", "u1", "?", "c16", "U9"])))
    if kind == 1 and array.size:
        flat = array.reshape(-1).copy()
        with np.errstate(all="ignore"):
            for _ in range(random.choice([1, 1, flat.size])):
                try:
                    flat[random.randrange(flat.size)] = random.choice(NUMBERS)
                except (OverflowError, ValueError, TypeError):
                    flat[...] = 1
        return npy(flat.reshape(array.shape))
    if kind == 2:
        return npy(
            random.choice(
                [array[..., None], array[None], array.reshape(-1), array.T, array.reshape(-1)[:0], array[None, :1]]
                if array.ndim
                else [array[None]]
            )
        )
    if kind == 3:
        return npy(np.concatenate([array.reshape(-1)] * random.choice([2, 3]))) if array.size < 10**6 else data
    if kind == 4:
        return declared(random.choice(DTYPES), array.shape, raw)
    if kind == 5:
        shape = random.choice([(2**40,), (-1,), (0,), (2**31, 2**31), (1.5,), "x", 3, (), (2**62, 4, 4), (len(raw),)])
        return declared(array.dtype.str, shape, raw)
    if kind == 6:
        return declared(array.dtype.str, array.shape, raw, order=random.choice([True, None, 7]),
                        version=random.choice([b"\x02\0", b"\x03\0", b"\x09\0"]))  # fmt: skip
    if kind == 7:
        return npy(np.array([Trap(), 1], dtype=object))
    if kind == 8:
        return declared("(" * random.choice([10, 3000]), array.shape, raw)
    return mutate_bytes(random, data)


def unpacked(data: bytes) -> dict[str, bytes]:
    """Read the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(random: Random, members: list[tuple[str, bytes]]) -> bytes:
    """Write an archive, also one with a name twice."""
    out = io.BytesIO()
    how = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice, which is meant
        for name, one in members:
            info = zipfile.ZipInfo(name.replace("\0", "") or "x")
            info.compress_type = how
            try:
                archive.writestr(info, one)
            except (UnicodeEncodeError, struct.error, zipfile.LargeZipFile):
                archive.writestr("x", one)
    return out.getvalue()


def mutate_zip(random: Random, data: bytes, inside: Callable[[Random, str, bytes], bytes]) -> bytes:
    """Change one member by `inside`, or which there are, or what the archive says of them."""
    kind = random.randrange(12)
    members = list(unpacked(data).items())
    place = random.randrange(len(members))
    name, one = members[place]
    if kind < 5:
        members[place] = name, inside(random, name, one)
    elif kind == 5:
        del members[place]
    elif kind == 6:
        ending = random.choice([".npy", "", name])
        members[place] = text(random)[:60_000] + ending, one
    elif kind == 7:
        other = random.randrange(len(members))
        members[place], members[other] = (name, members[other][1]), (members[other][0], one)
    elif kind == 8:
        members.append((random.choice([name, "extra.npy", "../" + CANARY, "/tmp/" + CANARY]), one))
    elif kind == 9:
        zeros = random.choice([10**6, 10**8])
        members[place] = name, declared("|u1", (zeros,), bytes(zeros))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members:
                archive.writestr(member, content)
        return out.getvalue()
    elif kind == 10:
        return _lying(random, packed(random, members))
    else:
        return mutate_bytes(random, data)
    return packed(random, members)


def _lying(random: Random, data: bytes) -> bytes:
    """Change a size, an offset or a flag in the directory of an archive."""
    changed = bytearray(data)
    entry = changed.rfind(b"PK\x01\x02")
    field = random.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)])
    if entry >= 0:
        value = random.choice([0, 1, 99, 0xFFFF, 0xFFFFFFFF, 2**30, random.randrange(2**32)]) % 256 ** field[1]
        changed[entry + field[0] : entry + sum(field)] = value.to_bytes(field[1], "little")
    return bytes(changed)


def mutate_npz_member(random: Random, name: str, data: bytes) -> bytes:
    """Change an array of an `.npz`; the header of a trace is a text in one."""
    if not name.startswith("header"):
        return mutate_npy(random, data)
    tree = json.loads(bytes(np.load(io.BytesIO(data))))
    for _ in range(random.choice([1, 1, 1, 3])):
        changed = {**tree, "trace": mutate_tree(random, tree.get("trace"))} if isinstance(tree, dict) else tree
        tree = changed if random.random() < 0.9 else mutate_tree(random, tree)
    written = json.dumps(tree) if random.random() < 0.95 else random.choice(
        [deep(100_000), '{"format":' + deep(900) + "}", "[" + "{}," * 10**6 + "{}]", json.dumps(scalar(random)), "nul"]
    )  # fmt: skip
    return npy(np.frombuffer(written.encode("utf-8", "surrogatepass"), np.uint8))


def pickled(random: Random) -> bytes:
    """Write a pickle that would make a file where it is read."""
    return pickle.dumps({"weight": Trap()}, protocol=random.choice([0, 2, 4]))
