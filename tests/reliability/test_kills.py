"""A writer that is killed at a random moment leaves the old file or the new one, whole, and nothing beside it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rnngraph
from rnngraph import files
from rnngraph.files import remove_leftovers, write_whole
from rnngraph.render.format import render_bytes
from tests.programs import PATIENCE
from tests.reliability.commands import ENVIRONMENT
from tests.reliability.hostile_traces import hostile_trace

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# Writes two contents in turn, as fast as it can, through the program's own handling of signals.
WRITER = """
import sys
from pathlib import Path
from rnngraph.cli import stop
from rnngraph.files import write_whole
path = Path(sys.argv[1])
contents = [Path(name).read_bytes() * int(sys.argv[4]) for name in sys.argv[2:4]]
write_whole(path, contents[0])  # so that there is an old one, however early the signal comes
stop.unwind()
try:
    print("ready", flush=True)
    while True:
        for content in contents:
            write_whole(path, content)
except KeyboardInterrupt:
    sys.exit(128 + stop.stopped())
"""


def temporary(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(files.TEMPORARY))


def kill_one(folder: Path, number: signal.Signals, delay: float, repeats: int) -> int:
    """Kill a writer after a while; give what it exited with."""
    arguments = [str(folder / "o"), str(folder / "old"), str(folder / "new"), str(repeats)]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(number)
        assert process.stderr.read() == b""
        return process.wait(PATIENCE)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", SIGNALS)
def test_the_file_is_the_old_one_or_the_new_one(tmp_path: Path, number: signal.Signals) -> None:
    contents = []
    for name, text in (("old", "a"), ("new", "b")):
        content = render_bytes(rnngraph.draw(hostile_trace(text)), "svg")
        (tmp_path / name).write_bytes(content)
        contents.append(content * 40)
    chance = random.Random(number)
    for _ in range(3):
        status = kill_one(tmp_path, number, chance.random() * 0.05, 40)
        assert (tmp_path / "o").read_bytes() in contents
        if number != signal.SIGKILL:
            assert status == 128 + number
            assert temporary(tmp_path) == []
    write_whole(tmp_path / "o", b"whole")
    assert temporary(tmp_path) == []


def test_what_a_kill_leaves_is_removed_by_the_next_write(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(name.encode() * 10**6)
    chance = random.Random("leftovers")
    for _ in range(60):  # until one was hit in the middle of a write
        kill_one(tmp_path, signal.SIGKILL, chance.random() * 0.05, 4)
        if temporary(tmp_path):
            break
    assert temporary(tmp_path)
    write_whole(tmp_path / "another", b"whole")
    assert temporary(tmp_path) == []


def test_the_file_of_a_living_writer_stays(tmp_path: Path) -> None:
    living = tmp_path / f"{files.TEMPORARY}{'0' * 16}"
    with living.open("wb") as file:
        assert files._claim(file)
        remove_leftovers(tmp_path)
        assert living.exists()
    remove_leftovers(tmp_path)
    assert not living.exists()


def test_only_our_own_names_are_removed(tmp_path: Path) -> None:
    names = [f"{files.TEMPORARY}notes", f"{files.TEMPORARY}{'0' * 15}", f"x{files.TEMPORARY}{'0' * 16}", "run.npz"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    pipe = tmp_path / f"{files.TEMPORARY}{'a' * 16}"
    os.mkfifo(pipe)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, pipe.name])


def test_many_writers_at_once(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from rnngraph.files import write_whole
for turn in range(200):
    write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 1000)
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "o"), word], env=ENVIRONMENT) for word in "abc"
    ]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    assert (tmp_path / "o").read_bytes() in [word * 1000 for word in (b"a", b"b", b"c")]
    assert temporary(tmp_path) == []
