"""Files from strangers that say what is not so, or would fill the memory: status 3 and one sentence."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz.arrays import Trap, npy, unpacked
from tests.fuzz.good import safetensors
from tests.reliability.commands import Said, batch, complaint, run, run_measured
from tests.traces import make_trace

torch = pytest.importorskip("torch")
LSTM = {"weight_ih_l0": (16, 2), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}


def weights(**changes: tuple[int, ...]) -> dict[str, Any]:
    return {name: np.full(shape, 0.1, np.float32) for name, shape in (LSTM | changes).items()}


def refused(folder: Path, name: str, **arrays: Any) -> str:
    batch(folder, **arrays)
    return complaint(norms(folder, name)[0], 3)


def norms(folder: Path, name: str) -> tuple[Said, int]:
    """Read a checkpoint in a process that has the memory of one and, beforehand, what reads it."""
    return run_measured(folder, "norms", "--weights", name, "--data", "d.npz", loaded="torch")


def test_a_state_dict_that_contains_itself(tmp_path: Path) -> None:
    state: dict[str, Any] = {name: torch.tensor(value) for name, value in weights().items()}
    state["self"] = state
    torch.save(state, tmp_path / "w.pt")
    batch(tmp_path)
    said, memory = norms(tmp_path, "w.pt")
    assert "its table self lies in itself" in complaint(said, 3)
    assert memory < 600 * 2**20  # importing PyTorch is most of it


def test_forty_levels_of_shared_tables(tmp_path: Path) -> None:
    state: Any = {name: torch.tensor(value) for name, value in weights().items()}
    for _ in range(40):
        state = {"a": state, "b": state}
    torch.save(state, tmp_path / "w.pt")
    assert "nested more than" in refused(tmp_path, "w.pt")


def test_a_table_that_is_shared_is_no_circle(tmp_path: Path) -> None:
    state = {name: torch.tensor(value) for name, value in weights().items()}
    torch.save({"model": state, "best": state}, tmp_path / "w.pt")
    batch(tmp_path)
    assert norms(tmp_path, "w.pt")[0].status == 0


def test_a_length_in_a_pickle_that_would_take_gigabytes(tmp_path: Path) -> None:
    class Long:
        def __reduce__(self) -> Any:
            return bytearray, (6 * 10**9,)

    torch.save({"weight_hh_l0": Long()}, tmp_path / "w.pt")
    batch(tmp_path)
    said, memory = norms(tmp_path, "w.pt")
    assert "holds a bytearray" in complaint(said, 3)
    assert memory < 600 * 2**20


def test_a_tensor_that_is_only_declared(tmp_path: Path) -> None:
    class Large:
        def __reduce__(self) -> Any:
            return torch.FloatTensor, (16_000, 4_000)

    state = {name: torch.tensor(value) for name, value in weights().items()}
    torch.save({**state, "weight_hh_l0": Large()}, tmp_path / "w.pt")
    assert "is refused: it would unpack" in refused(tmp_path, "w.pt")


@pytest.mark.parametrize(
    ("size", "method", "content"),
    [(3 * 10**8, zipfile.ZIP_DEFLATED, 3 * 10**8), (7 * 10**9, zipfile.ZIP_STORED, 7 * 10**6)],
    ids=["as packed as it says", "beyond 32 bits in its directory alone"],
)
def test_a_trace_that_would_fill_the_memory(tmp_path: Path, size: int, method: int, content: int) -> None:
    make_trace().save(tmp_path / "good.npz")
    members = unpacked((tmp_path / "good.npz").read_bytes())
    name = "trace.states.0.gain.npy"
    start = npy(np.zeros(0)).replace(b"(0,)", b"(%d,)" % (size // 8))
    with zipfile.ZipFile(tmp_path / "run.npz", "w", method, compresslevel=1) as archive:
        for other in members:
            if other != name:
                archive.writestr(other, members[other])
        with archive.open(name, "w", force_zip64=True) as file:
            file.write(start)
            for _ in range(content // 10**6):
                file.write(bytes(10**6))
        entry = archive.getinfo(name)
        entry.file_size, entry.compress_type = len(start) + size, zipfile.ZIP_DEFLATED
    assert (tmp_path / "run.npz").stat().st_size < 10**7
    said, memory = run_measured(tmp_path, "norms", "run.npz")
    assert "is refused: it would unpack" in complaint(said, 3)
    assert memory < 500 * 2**20


def test_a_column_of_another_length_is_refused_before_it_is_read(tmp_path: Path) -> None:
    make_trace().save(tmp_path / "good.npz")
    members = unpacked((tmp_path / "good.npz").read_bytes())
    size = 3 * 10**8
    with zipfile.ZipFile(tmp_path / "run.npz", "w", zipfile.ZIP_STORED) as archive:  # as large as it says
        for name, data in members.items():
            if name != "trace.states.0.gain.npy":
                archive.writestr(name, data)
        with archive.open("trace.states.0.gain.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (size // 8,)})
            for _ in range(size // 10**7):
                file.write(bytes(10**7))
    said, memory = run_measured(tmp_path, "norms", "run.npz")
    assert f"trace.states[0].gain has shape ({size // 8},)" in complaint(said, 3)
    assert memory < 200 * 2**20


def test_a_column_that_is_named_twice(tmp_path: Path) -> None:
    make_trace().save(tmp_path / "run.npz")
    members = unpacked((tmp_path / "run.npz").read_bytes())
    header = json.loads(bytes(np.load(io.BytesIO(members["header.npy"]))))
    header["trace"]["states"] *= 2
    members["header.npy"] = npy(np.frombuffer(json.dumps(header).encode(), np.uint8))
    with zipfile.ZipFile(tmp_path / "run.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert "a column of numbers is missing" in complaint(run(tmp_path, "norms", "run.npz"), 3)


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        ({"bias_hh_l0": (12,)}, ("(12,)", "(16, 4)")),
        ({"bias_ih_l0": (1,)}, ("(1,)", "(16, 4)")),
        ({"bias_ih_l0": (16, 1)}, ("(16, 1)", "(16, 4)")),
    ],
)
def test_biases_that_do_not_fit(tmp_path: Path, changes: Any, shapes: tuple[str, ...]) -> None:
    np.savez(tmp_path / "w.npz", **weights(**changes))
    said = refused(tmp_path, "w.npz")
    assert all(shape in said for shape in shapes)


@pytest.mark.parametrize("bias", [(), (15,), (1, 16), (2, 2, 16)])
def test_a_bias_of_keras_that_does_not_fit(tmp_path: Path, bias: tuple[int, ...]) -> None:
    arrays: dict[str, Any] = {
        "lstm/kernel": np.zeros((2, 16)), "lstm/recurrent_kernel": np.zeros((4, 16)), "lstm/bias": np.zeros(bias)
    }  # fmt: skip
    np.savez(tmp_path / "w.npz", **arrays)
    assert f"lstm/bias has shape {bias}" in refused(tmp_path, "w.npz")


def test_a_damaged_training_checkpoint(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "good.ckpt")
    whole = (tmp_path / "good.ckpt").read_bytes()
    directory = whole.rfind(b"PK\x01\x02")
    locator = whole.rfind(b"PK\x06\x07")  # where the size of large archives is found, and on how many disks they lie
    assert locator > directory > 0
    disks = whole[: locator + 16] + b"\x02" + whole[locator + 17 :]
    for damaged in (disks, whole[:directory], whole[:directory] + b"xx" + whole[directory + 2 :], b"PK\x03\x04", b"PK"):
        (tmp_path / "w.ckpt").write_bytes(damaged)
        assert "w.ckpt" in refused(tmp_path, "w.ckpt")


def test_a_pickle_in_an_archive_is_refused_in_one_sentence_and_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{**weights(), "weight_hh_l0": np.array([Trap()], object)})
    said = refused(tmp_path, "w.npz")
    assert "holds Python objects, which are never read" in said
    assert "allow_pickle" not in said
    assert not (tmp_path / "canary").exists()


def test_a_header_of_thousands_of_letters(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 20_000 + b")}"
    (tmp_path / "w/a.npy").write_bytes(b"\x93NUMPY\x02\0" + len(text).to_bytes(4, "little") + text)
    said = refused(tmp_path, "w")
    assert "allow_pickle" not in said
    assert "does not begin as an array does" in said


@pytest.mark.parametrize("offsets", [[0, 128], [64, 192]])
def test_safetensors_that_lie_over_each_other(tmp_path: Path, offsets: list[int]) -> None:
    changed = {"weight_ih_l0": {"dtype": "F32", "shape": [16, 2], "data_offsets": offsets}}
    arrays = {"weight_hh_l0": weights()["weight_hh_l0"], "weight_ih_l0": weights()["weight_ih_l0"]}
    (tmp_path / "w.safetensors").write_bytes(safetensors(arrays, changed))
    assert "lie over each other" in refused(tmp_path, "w.safetensors")


def test_safetensors_that_name_a_tensor_twice(tmp_path: Path) -> None:
    data = safetensors({"weight_hh_l0": weights()["weight_hh_l0"]})
    size = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + size]
    entry = json.dumps(json.loads(text)["weight_hh_l0"]).encode()
    text = text[:-1] + b', "weight_hh_l0": ' + entry + b"}"
    (tmp_path / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    assert "has a name twice" in refused(tmp_path, "w.safetensors")


def test_text_where_weights_belong(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **weights(), embedding=np.full((5, 2), "a"))
    batch(tmp_path, tokens=np.zeros((1, 3), int))
    said, _ = norms(tmp_path, "w.npz")
    assert said.status in (0, 2, 3)
    assert "defect" not in said.stderr


STRANGE: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    (tmp_path / "w").mkdir()
    for name, value in weights().items():
        np.save(tmp_path / "w" / f"{name}.npy", value)
    STRANGE[kind](tmp_path / "w/extra.npy")
    assert "is no regular file" in refused(tmp_path, "w")


@pytest.mark.parametrize("arguments", [("norms", "pipe.npz"), ("norms", "--weights", "pipe.npz", "--data", "pipe.npz"),
                                       ("norms", "--weights", "w.npz", "--text", "pipe.npz")])  # fmt: skip
def test_a_pipe_with_a_name_is_not_waited_for(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    np.savez(tmp_path / "w.npz", **weights())
    assert "pipe.npz" in complaint(run(tmp_path, *arguments), 3)
