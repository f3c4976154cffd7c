"""The folder stays small: the first trace, the last, and evenly between; and it holds one training."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError, InputError

pytest.importorskip("torch")

from rnngraph.monitor.folder import Folder, file_name, step_of


@pytest.fixture(scope="module")
def trace() -> rg.Trace:
    x = rg.Tape().input(np.random.default_rng(0).normal(size=(1, 4, 2)))
    return rg.record(rg.nn.RNN(2, 3, seed=0)(x).sum())


def filled(folder: Folder, trace: rg.Trace, steps: range) -> list[int]:
    for step in steps:
        folder.add(replace(trace, training_step=step))
    found = sorted(path.name for path in folder.path.iterdir())
    assert found == [path.name for path in folder.files]
    return [step_of(path) for path in folder.files]


@pytest.mark.parametrize("keep", [2, 3, 7, 50])
@pytest.mark.parametrize("count", [1, 2, 8, 61])
def test_few_and_even(trace: rg.Trace, tmp_path: Path, keep: int, count: int) -> None:
    folder = Folder(tmp_path, keep=keep, megabytes=100, every=10, start=0)
    steps = filled(folder, trace, range(0, 10 * count, 10))
    assert (steps[0], steps[-1]) == (0, 10 * (count - 1))
    assert min(keep, count) // 2 <= len(steps) <= keep
    gaps = np.diff(steps)
    assert len(set(gaps[:-1].tolist())) <= 1  # even, up to the last, which comes as the training goes
    assert all(gaps[-1:] <= max(gaps[:-1].tolist(), default=10 * count))


def test_the_bytes_of_all_together(trace: rg.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "one.npz")
    size = (tmp_path / "one.npz").stat().st_size
    folder = Folder(tmp_path / "runs", keep=50, megabytes=5.5 * size / 1e6, every=1, start=0)
    steps = filled(folder, trace, range(40))
    assert 3 <= len(steps) <= 5
    assert (steps[0], steps[-1]) == (0, 39)
    assert sum(path.stat().st_size for path in folder.files) <= 5.5 * size


def test_one_trace_that_is_too_large_is_not_kept(trace: rg.Trace, tmp_path: Path) -> None:
    folder = Folder(tmp_path, keep=50, megabytes=1e-3, every=1, start=0)
    with pytest.raises(FileError, match=r"the trace of step 3 takes 0\.0 MB, more than megabytes= leaves room for"):
        folder.add(replace(trace, training_step=3))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_removed_is_no_matter(trace: rg.Trace, tmp_path: Path) -> None:
    folder = Folder(tmp_path, keep=3, megabytes=1, every=1, start=0)
    folder.add(replace(trace, training_step=0))
    folder.files[0].unlink()
    for step in (1, 2, 3):
        folder.add(replace(trace, training_step=step))
    assert len(folder.files) <= 3


def test_steps_off_the_beat(trace: rg.Trace, tmp_path: Path) -> None:
    """A training that goes on at a step between two measurements."""
    folder = Folder(tmp_path, keep=4, megabytes=100, every=10, start=1037)
    for step in (1037, 1040, 1050, 1060, 1070, 1080):
        folder.add(replace(trace, training_step=step))
    assert [step_of(path) for path in folder.files] == [1037, 1040, 1060, 1080]


def test_another_training_in_the_folder(trace: rg.Trace, tmp_path: Path) -> None:
    filled(Folder(tmp_path, keep=9, megabytes=1, every=10, start=0), trace, range(0, 50, 10))
    with pytest.raises(FileError, match="holds 5 traces of another training; name another folder"):
        Folder(tmp_path, keep=9, megabytes=1, every=10, start=0)
    folder = Folder(tmp_path, keep=9, megabytes=1, every=10, start=25)
    assert len(list(tmp_path.iterdir())) == 5  # nothing goes before there is something in its place
    folder.add(replace(trace, training_step=25))
    assert [step_of(path) for path in folder.files] == [0, 10, 20, 25]


def test_files_of_others_stay(trace: rg.Trace, tmp_path: Path) -> None:
    for name in ("run.npz", "step-12.npz", "notes.txt"):
        (tmp_path / name).write_text("mine")
    folder = Folder(tmp_path, keep=2, megabytes=1, every=1, start=0)
    for step in range(4):
        folder.add(replace(trace, training_step=step))
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.npz", "step-12.npz", "notes.txt", file_name(0), file_name(3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": 1}, r"keep is 1; it must be a whole number of at least 2"),
        ({"keep": 2.5}, r"keep is 2\.5"),
        ({"megabytes": 0}, r"megabytes is 0; it must be a number above 0"),
        ({"megabytes": float("nan")}, r"megabytes is nan"),
        ({"megabytes": True}, r"megabytes is True"),
    ],
)
def test_bounds_that_are_none(tmp_path: Path, options: dict[str, float], said: str) -> None:
    bounds: dict[str, float] = {"keep": 5, "megabytes": 1.0, **options}
    with pytest.raises(InputError, match=said):
        Folder(tmp_path, every=1, start=0, **bounds)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    bounds = {"keep": 5, "megabytes": 1.0, "every": 1, "start": 0}
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"the folder '.*file' cannot be made or read: File exists"):
        Folder(tmp_path / "file", **bounds)  # type: ignore[arg-type]
    with pytest.raises(FileError, match=r"the folder '.*file/a' cannot be made or read: Not a directory"):
        Folder(tmp_path / "file" / "a", **bounds)  # type: ignore[arg-type]
    with pytest.raises(FileError, match=r"null (byte|character)"):
        Folder("a\0b", **bounds)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="folder is 3; pass the path of a folder"):
        Folder(3, **bounds)  # type: ignore[arg-type]


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *args, **more: False)  # root may write everywhere
    with pytest.raises(FileError, match="cannot be written: permission denied"):
        Folder(tmp_path, keep=5, megabytes=1, every=1, start=0)
