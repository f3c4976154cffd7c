"""Files are written whole or not at all, and keep who may read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from rnngraph.errors import FileError, InputError
from rnngraph.files import check_target, path_of, refuse_folder, write_whole
from rnngraph.render import render
from rnngraph.trace.model import Trace
from tests.traces import make_trace

TRACE = make_trace("tanh", 3)
Save = Callable[[Path], object]


def save_run(path: Path) -> None:
    TRACE.save(path)


def save_picture(path: Path) -> object:
    return render(TRACE, path, force=True)


SAVES = [(save_run, "run.npz"), (save_picture, "a.json")]


@pytest.mark.parametrize(("save", "name"), SAVES)
@pytest.mark.parametrize("place", [(os, "replace"), (os, "chmod"), (os, "fdopen")])
def test_an_interruption_leaves_no_file_and_the_old_one_whole(
    save: Save, name: str, place: tuple[object, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / name)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_an_interruption_while_a_run_is_packed_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupt)
    with pytest.raises(KeyboardInterrupt):
        TRACE.save(tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("save", "name"), SAVES)
def test_a_private_file_stays_private(save: Save, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch(mode=0o600)
    path.chmod(0o600)
    save(path)
    assert path.stat().st_size > 500
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("save", "name"), SAVES)
def test_a_new_file_is_as_open_as_the_user_wants(save: Save, name: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / name)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".npz")
    TRACE.save(path)
    assert Trace.load(path).model == TRACE.model


@pytest.mark.parametrize("name", ["a\0b", "a" * 256])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be"):
        write_whole(tmp_path / name, b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_target_is_checked_before_any_work(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")

    def check(path: Path, *, force: bool = False) -> None:
        check_target(path, example="run.npz", kind="run", is_kind=lambda _: False, force=force)

    check(tmp_path / "new")
    check(other, force=True)
    with pytest.raises(FileError, match=r"other' exists and is no run; .*\(--force\)\.$"):
        check(other)
    with pytest.raises(FileError, match=r"is a folder; name a file in it, such as .*run\.npz'\.$"):
        check(tmp_path, force=True)
    with pytest.raises(FileError, match=r"the folder .*nowhere' does not exist; make it first\.$"):
        check(tmp_path / "nowhere" / "new")
    with pytest.raises(FileError, match="File name too long"):
        refuse_folder(tmp_path / ("a" * 256), example="run.npz")


def test_what_is_no_path_is_refused() -> None:
    assert path_of("a/b", example="run.npz") == Path("a", "b")
    with pytest.raises(InputError, match=r"the path is array\(\[\[1\., 1\.\], \[1\., 1\.\]\]\); "):  # on one line
        path_of(np.ones((2, 2)), example="run.npz")
    with pytest.raises(InputError, match=r"the path is 3; .*'run\.npz'"):
        path_of(3, example="run.npz")


@pytest.mark.parametrize(("save", "name"), SAVES)
def test_a_link_is_followed(save: Save, name: str, tmp_path: Path) -> None:
    real = tmp_path / "kept" / name
    real.parent.mkdir()
    save(real)
    before = real.read_bytes()
    real.write_bytes(b"")
    link = tmp_path / name
    link.symlink_to(real)
    save(link)
    assert link.is_symlink()
    assert real.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["kept", name])


@pytest.mark.parametrize(("save", "name"), SAVES)
def test_a_pipe_is_written_into_and_stays_one(save: Save, name: str, tmp_path: Path) -> None:
    save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    pipe = tmp_path / f"pipe-{name}"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    save(pipe)
    reader.join(timeout=600)
    assert len(read[0]) == len(whole)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="nothing tells which files are open")
def test_where_a_file_that_is_open_cannot_be_renamed_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def refuse(source: Path, target: Path) -> None:
        if str(source) in {os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()}:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr("rnngraph.files.fcntl", None)  # as on Windows
    for content in (b"one\n", b"two\n"):
        write_whole(tmp_path / "a", content)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]
