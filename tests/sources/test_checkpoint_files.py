"""Files that lie: nothing is executed, sizes are checked before memory is taken, and damage is one sentence."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnngraph.archive import array_headers, read_member
from rnngraph.errors import FileError, RnnGraphError
from rnngraph.sources.checkpoint.files import read_npz, read_safetensors
from rnngraph.sources.checkpoint.stored import open_checkpoint


def safetensors(path: Path, header: dict[str, Any] | bytes, data: bytes = b"", *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_an_honest_safetensors_file(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    header = {"a": entry([2, 3], 0, 24), "b": entry([1], 24, 26, "BF16"), "__metadata__": {"format": "pt"}}
    path = safetensors(tmp_path / "w.safetensors", header, values.tobytes() + b"\x80\x3f")
    arrays = {one.name: one for one in read_safetensors(path)}
    np.testing.assert_array_equal(arrays["a"].read(), values)
    np.testing.assert_array_equal(arrays["b"].read(), np.array([1.0], np.float32))


@pytest.mark.parametrize(
    ("header", "length", "message"),
    [
        ({"a": entry([2, 3], 0, 24)}, None, "at bytes 0 to 24, outside of the file"),
        ({"a": entry([2], 0, 4)}, None, r"says it has shape \(2,\), but 4 bytes are there"),
        ({"a": entry([2**40, 2**40], 0, 8)}, None, r"\(1099511627776, 1099511627776\), but 8 bytes"),
        ({"a": entry([-1, -8], 0, 8)}, None, "outside of the file"),
        ({"a": entry([2], 8, 0)}, None, "outside of the file"),
        ({"a": entry([2], 0, 8)}, 2**62, "its header claims 4611686018427387904 of its"),
        ({"a": entry([2], 0, 8)}, 3, "cannot be read"),
        (b"[1, 2]", None, "its header is no table"),
        ({"a": {"dtype": "F32"}}, None, "a in .* has no proper dtype, shape and data_offsets"),
        ({"a": 7}, None, "a in .* has no proper dtype, shape and data_offsets"),
        (b"\xff\xfe", None, "cannot be read"),
        (b"[" * 100_000, None, "cannot be read"),
    ],
)
def test_a_header_that_lies(tmp_path: Path, header: Any, length: int | None, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_safetensors(safetensors(tmp_path / "w.safetensors", header, bytes(8), length=length))


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.npy": npy((2**40,), bytes(16))}, r"shape \(1099511627776,\), but 16 bytes are there"),
        ({"a.npy": npy((2,), bytes(16), "|O")}, "holds Python objects, which are never read"),
        ({"a.npy": b"no array"}, "cannot be read"),
        ({"readme.txt": b"hello"}, "holds no arrays"),
        ({}, "holds no arrays"),
    ],
)
def test_an_archive_that_lies(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_npz(archive(tmp_path / "w.npz", members))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {"a.npy": npy((10**7,), bytes(8 * 10**7))}, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"PK\x01\x02") + 24  # the unpacked size in the central directory
    raw[place : place + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"w\.npz is refused: a\.npy claims 4000000000 bytes in \d+ packed ones"):
        read_npz(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


def test_an_array_that_is_no_weight_or_of_a_type_that_is_not_read(tmp_path: Path) -> None:
    path = safetensors(
        tmp_path / "w.safetensors", {"a": entry([2], 0, 2, "F8_E4M3"), "b": entry([2], 2, 10, "I32")}, bytes(10)
    )
    arrays = {one.name: one for one in read_safetensors(path)}
    with pytest.raises(FileError, match=r"a in .* is of type F8_E4M3, which is not read; store it as F32"):
        arrays["a"].read()
    np.testing.assert_array_equal(arrays["b"].read(), [0, 0])
    with pytest.raises(FileError, match=r"b in .* holds int32; weights are floating point numbers"):
        arrays["b"].read_weight()


def test_overlapping_parts_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "w.npz", {f"{k}.npy": npy((1000,), bytes(8000)) for k in range(2)})
    raw = bytearray(path.read_bytes())
    first, second = raw.index(b"PK\x01\x02"), raw.rindex(b"PK\x01\x02")
    raw[second + 20 : second + 24] = struct.pack("<I", 10**6)  # the packed size
    raw[second + 24 : second + 28] = struct.pack("<I", 10**6)
    assert first != second
    path.write_bytes(raw)
    with pytest.raises(FileError, match=r"more than the file has|cannot be read"):
        read_npz(path)


def test_zeros_that_pack_well_are_no_bomb(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(10**6))
    assert read_npz(tmp_path / "w.npz")[0].read().shape == (10**6,)


def test_suffixes(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"")
    with pytest.raises(FileError, match=r"no known checkpoint format: \.safetensors, \.npz, \.pt, \.pth"):
        open_checkpoint(tmp_path / "w.onnx", {})
    with pytest.raises(FileError, match=r"holds no weights: no \.safetensors, .*\.npy"):
        open_checkpoint(tmp_path, {})
    (tmp_path / "b.npy").mkdir()
    with pytest.raises(FileError, match=r"b\.npy is no regular file"):
        open_checkpoint(tmp_path, {})
    (tmp_path / "b.npy").rmdir()
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(FileError, match="holds Python objects"):
        open_checkpoint(tmp_path, {})


ANY_FILE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@ANY_FILE
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".npy", ".msgpack"])
def test_damage_is_one_sentence(tmp_path: Path, suffix: str, data: Any) -> None:
    """Whatever bytes are changed or cut off, the file reads or is refused with an error of ours."""
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    path = folder / f"w{suffix}"
    if suffix == ".npz":
        np.savez(path, a=np.arange(6.0), b=np.ones((2, 2)))
    elif suffix == ".npy":
        np.save(path, np.arange(6.0))
    elif suffix == ".msgpack":
        path.write_bytes(flax_file("float32", [2, 3], bytes(24)))
    else:
        safetensors(path, {"a": entry([2, 3], 0, 24)}, bytes(24))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        for array in open_checkpoint(folder if suffix == ".npy" else path, {}).arrays.values():
            array.read()
    except RnnGraphError as refusal:
        sentence = str(refusal)
    else:
        return
    assert str(path.parent) in sentence


def flax_file(dtype: str, shape: list[int], data: bytes, **beside: Any) -> bytes:
    """Write what flax does: a table in a table, with an array as an extension."""
    msgpack = pytest.importorskip("msgpack")
    array = msgpack.ExtType(1, msgpack.packb((shape, dtype, data)))
    packed: bytes = msgpack.packb({"params": {"cell": {"kernel": array}}, "step": 3, **beside})
    return packed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ("float32", [2, 3], bytes(20)),
            r"params/cell/kernel in .* is float32 \(2, 3\), but 20 bytes are there",
        ),
        (("float32", [-2, -3], bytes(24)), r"\(-2, -3\), but 24 bytes"),
        (("object", [3], bytes(24)), r"says it is object"),
        (("rubbish", [3], bytes(24)), "cannot be read"),
    ],
)
def test_a_file_of_flax_that_lies(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "w.msgpack").write_bytes(flax_file(*content))
    with pytest.raises(FileError, match=message):
        open_checkpoint(tmp_path / "w.msgpack", {})


def test_narrow_numbers_and_parts_in_a_file_of_flax(tmp_path: Path) -> None:
    path = tmp_path / "w.msgpack"
    path.write_bytes(flax_file("bfloat16", [1], b"\x80\x3f"))
    (array,) = open_checkpoint(path, {}).arrays.values()
    np.testing.assert_array_equal(array.read_weight(), np.array([1.0], np.float32))
    path.write_bytes(flax_file("float32", [1], bytes(4), large={"__msgpack_chunked_array__": True}))
    with pytest.raises(FileError, match=r"large in .* is stored in parts"):
        open_checkpoint(path, {})


def test_a_folder_of_orbax(tmp_path: Path) -> None:
    (tmp_path / "_METADATA").write_text("{}")
    with pytest.raises(FileError, match=r"is orbax's: restore it with orbax, as `model`\. Then write np\.savez"):
        open_checkpoint(tmp_path, {})


def test_zeros_that_would_fill_the_memory_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez_compressed(path, a=np.zeros((2049, 8192), np.float32), b=np.ones(3))
    with pytest.raises(FileError, match=r"refused: it would unpack from .* more than 100 times"):
        read_npz(path)
    np.savez(path, a=np.zeros((2049, 8192), np.float32))  # without compression there is nothing to hide
    assert read_npz(path)[0].shape == (2049, 8192)
    np.savez_compressed(path, a=np.zeros((2047, 8192), np.float32))  # 64 MiB are read whatever they pack to
    assert read_npz(path)[0].read().shape == (2047, 8192)


def test_two_negative_sizes_are_no_shape(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(24)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(FileError, match=r"a in .* says it has shape \(-2, -3\), but 24 bytes are there"):
        read_npz(tmp_path / "w.npz")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, np.asfortranarray])
def test_an_array_is_read_in_its_order_and_of_every_version(tmp_path: Path, arranged: Any, version: Any) -> None:
    wanted, path = np.arange(12.0).reshape(3, 4), tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("w.npy", "w") as file:
        np.lib.format.write_array(file, arranged(wanted), version)
    with zipfile.ZipFile(path) as archive:
        assert array_headers(path, archive)["w"].shape == (3, 4)
        np.testing.assert_array_equal(read_member(path, archive, "w"), wanted)
