"""Checkpoints on disk: what is read, what lies about itself, and how little memory a large one takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import rnngraph as rg
from rnngraph.errors import FileError
from tests import programs

TRUTH = [2.0, 8.0]  # steps
TENSORS = {"A_log": np.zeros(2, np.float32), "dt_bias": np.log(np.expm1(np.log(2) / TRUTH)).astype(np.float32)}


def layer(number: int) -> dict[str, Any]:
    """Name a layer's tensors as a model does, with a weight that is no decay."""
    return {f"model.layers.{number}.mixer.{name}": value for name, value in TENSORS.items()} | {
        f"model.layers.{number}.mixer.in_proj.weight": np.zeros((4, 4), np.float32)
    }


def config(folder: Path, **table: Any) -> None:
    (folder / "config.json").write_text(json.dumps(table or {"model_type": "mamba2"}))


def sharded(folder: Path) -> Path:
    """Write two shards with an index, as Hugging Face does."""
    config(folder)
    places: dict[str, str] = {}
    for number in (0, 1):
        shard = f"model-0000{number + 1}-of-00002.safetensors"
        save_file(layer(number), folder / shard)
        places |= dict.fromkeys(layer(number), shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def check(report: rg.DecayReport, layers: int = 2) -> None:
    assert [one.name for one in report.layers] == [f"model.layers.{number}.mixer" for number in range(layers)]
    for one in report.layers:
        assert (one.family, one.judged) == ("mamba-2", True)
        np.testing.assert_allclose(one.half_lives, TRUTH, rtol=1e-6)


def test_one_file_with_its_configuration_beside_it(tmp_path: Path) -> None:
    config(tmp_path)
    save_file(layer(0), tmp_path / "model.safetensors")
    check(rg.decay(tmp_path / "model.safetensors"), 1)
    check(rg.decay(str(tmp_path)), 1)
    np.savez(tmp_path / "arrays.npz", **layer(0))
    check(rg.decay(tmp_path / "arrays.npz"), 1)


def test_shards_are_read_through_the_folder_or_the_index(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    check(rg.decay(tmp_path))
    check(rg.decay(index))


def test_shards_without_an_index_are_joined(tmp_path: Path) -> None:
    sharded(tmp_path).unlink()
    check(rg.decay(tmp_path))


def test_a_configuration_elsewhere_is_given(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    save_file(layer(0), tmp_path / "weights" / "model.safetensors")
    config(tmp_path, model_type="mamba2", time_step_limit=[0.0, 0.2])
    (one,) = rg.decay(tmp_path / "weights", config=tmp_path / "config.json").layers
    np.testing.assert_allclose(one.half_lives, [np.log(2) / 0.2, 8.0], rtol=1e-6)
    assert one.settings == {"dt_min": 0.0, "dt_max": 0.2}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("form", ["zip", "old", "nested"])
def test_pytorch_files_are_read_as_weights_only(tmp_path: Path, dtype: str, form: str) -> None:
    torch = pytest.importorskip("torch")
    config(tmp_path)
    state = {name: torch.tensor(value).to(getattr(torch, dtype)) for name, value in layer(0).items()}
    torch.save(
        {"state_dict": state} if form == "nested" else state,
        tmp_path / "model.pt",
        _use_new_zipfile_serialization=form != "old",
    )
    (one,) = rg.decay(tmp_path / "model.pt").layers
    np.testing.assert_allclose(one.half_lives, TRUTH, rtol=0.03)


def test_an_object_in_a_pickle_is_not_made(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"A_log": Trap(str(tmp_path / "sprung"))}, tmp_path / "model.pt")
    with pytest.raises(FileError, match="more than weights"):
        rg.decay(tmp_path / "model.pt")
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_an_index_names_no_file_outside_its_folder(tmp_path: Path, shard: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x.A_log": shard}}))
    with pytest.raises(FileError, match="not in its folder"):
        rg.decay(index)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', "[" * 100_000])
def test_a_damaged_index_is_one_sentence(tmp_path: Path, text: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(FileError, match="no index of shards") as caught:
        rg.decay(index)
    assert "\n" not in str(caught.value)


def test_a_missing_shard_and_a_missing_tensor_are_named(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    table = json.loads(index.read_text())
    table["weight_map"]["model.layers.9.mixer.A_log"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(table))
    with pytest.raises(FileError, match=r"says that model\.layers\.9\.mixer\.A_log is in model-00001"):
        rg.decay(index)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileError, match="no such file beside it"):
        rg.decay(index)


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", "[" * 100_000])
def test_a_damaged_configuration_is_one_sentence(tmp_path: Path, text: str) -> None:
    save_file(layer(0), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FileError, match=r"config\.json") as caught:
        rg.decay(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_configuration_or_an_index_that_is_far_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = sharded(tmp_path)
    monkeypatch.setattr("rnngraph.sources.checkpoint.stored.LARGEST_HEADER", 5)
    with pytest.raises(FileError, match=r"index\.json has \d+ bytes, more than an index may have"):
        rg.decay(index)
    monkeypatch.setattr("rnngraph.sources.decay.config.LARGEST", 5)
    with pytest.raises(FileError, match=r"config\.json has \d+ bytes, more than a configuration may have \(5\)"):
        rg.decay(tmp_path)


def test_a_checkpoint_without_tensors_is_one_sentence(tmp_path: Path) -> None:
    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(FileError, match="holds no arrays"):
        rg.decay(tmp_path / "model.safetensors")


def test_the_same_name_in_two_files_is_refused(tmp_path: Path) -> None:
    save_file(layer(0), tmp_path / "a.safetensors")
    save_file(layer(0), tmp_path / "b.safetensors")
    with pytest.raises(FileError, match="another file beside it holds too"):
        rg.decay(tmp_path)


def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = json.dumps({"m.A_log": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    with pytest.raises(FileError, match="outside of the file"):
        rg.decay(path)


def test_no_checkpoint_a_foreign_one_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no checkpoint"):
        rg.decay(tmp_path / "nowhere.safetensors")
    (tmp_path / "model.gguf").touch()
    with pytest.raises(FileError, match=r"suffix of no known checkpoint format: \.safetensors"):
        rg.decay(tmp_path / "model.gguf")
    with pytest.raises(FileError, match="holds no weights"):
        rg.decay(tmp_path)


# The peak as the kernel has it: what `resource` gives includes the process that started this one.
PEAK = """
import sys
import rnngraph as rg
print(len(rg.decay(sys.argv[1], config={"model_type": "mamba2"}).layers))
"""


def test_twenty_gigabytes_are_read_in_less_than_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    table, place = {}, 0
    for number in range(64):
        for name, shape in (("A_log", [128]), ("in_proj.weight", [10_000, 7_900]), ("dt_bias", [128])):
            size = 4 * int(np.prod(shape))
            table[f"layers.{number}.mixer.{name}"] = {
                "dtype": "F32", "shape": shape, "data_offsets": [place, place + size]
            }  # fmt: skip
            place += size
    header = json.dumps(table).encode()
    with path.open("wb") as file:  # a sparse file: it takes a few kilobytes of the disk
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + place)
    assert path.stat().st_size > 20e9
    assert measured(path) == 64


def test_a_pytorch_file_is_mapped_and_not_loaded(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    large = torch.zeros(2**28)  # a gigabyte
    with torch.serialization.skip_data():  # zeros that the file system does not write out either
        torch.save({"m.A_log": torch.zeros(4), "m.dt_bias": torch.zeros(4), "m.weight": large}, tmp_path / "model.pt")
    assert measured(tmp_path / "model.pt", "torch") == 1


def measured(path: Path, loaded: str = "") -> int:
    """Read a checkpoint in a process of its own; give the number of layers."""
    (path.parent / "peak.py").write_text(PEAK)
    done = programs.run("peak.py", str(path), folder=path.parent, loaded=loaded)
    assert done.returncode == 0, done.stderr
    assert done.memory < 10**9
    return int(done.stdout)
