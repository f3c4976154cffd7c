"""Programs as processes of their own, with their own streams, signals and end, at the price of a fork.

Importing takes most of the time of a short program. A process that has loaded everything once, for all workers, waits
for orders and forks for each; what comes in is a command, a folder, an environment and three descriptors, what goes out
how it ended. What a program loads, and how it starts and ends Python itself, is tested by processes that are started in
full.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

ROOT = Path(__file__).parent.parent
CLOSED = -1  # in the place of a descriptor for stdout: there is none
PATIENCE = 600.0  # seconds on the wall; a program that has not ended then hangs, however busy the machine is


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its status, negative for a signal, what it said, and the most bytes it took."""

    returncode: int
    stdout: str
    stderr: str
    memory: int


class Program:
    """A program that is running."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self.pid = int(_line(server))

    def wait(self) -> tuple[int, int]:
        """Give the status and the bytes of memory, once it has ended."""
        status, memory = _line(self._server).split()
        return int(status), int(memory)


def start(
    *words: str, folder: Path, stdin: int | None = None, stdout: int, stderr: int,
    environment: Mapping[str, str | None] | None = None, loaded: str = "", warnings: str = "default",
) -> Program:  # fmt: skip
    """Start `rnngraph WORDS`, or `python FILE.py WORDS`, one at a time; `loaded` is a package that it will need."""
    server = _server(loaded)
    named = os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment or {})
    nothing = os.open(os.devnull, os.O_RDONLY)
    order = {
        "words": words, "folder": str(folder), "warnings": warnings, "closed": stdout == CLOSED,
        "environment": {name: value for name, value in named.items() if value is not None},
    }  # fmt: skip
    data = json.dumps(order).encode()
    given = [nothing if stdin is None else stdin, nothing if stdout == CLOSED else stdout, stderr]
    socket.send_fds(server, [len(data).to_bytes(8, "big")], given)
    server.sendall(data)
    os.close(nothing)
    return Program(server)


def run(*words: str, folder: Path, stdout: int | None = None, **options: Any) -> Ended:
    """Run a program to its end and give what it said."""
    with TemporaryFile() as out, TemporaryFile() as err:
        to = out.fileno() if stdout is None else stdout
        status, memory = start(*words, folder=folder, stdout=to, stderr=err.fileno(), **options).wait()
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))
    return Ended(status, said[0], said[1], memory)


@cache
def _server(loaded: str) -> socket.socket:
    """Connect with the process of this run of the suite, which the first worker that needs it starts."""
    address = f"\0rnngraph-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}-{loaded}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with socket.socket(socket.AF_UNIX) as listening, suppress(OSError):  # another worker's listens already
        listening.bind(address)
        listening.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", str(listening.fileno()), loaded],
            pass_fds=[listening.fileno()], env=environment, cwd=ROOT, stdin=subprocess.PIPE,
        )  # fmt: skip
        atexit.register(process.communicate)  # it ends with its stdin
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(PATIENCE)
    server.connect(address)
    atexit.register(server.close)
    return server


def _line(server: socket.socket) -> str:
    said = b""
    while not said.endswith(b"\n"):
        part = server.recv(1)
        assert part, "the process that forks programs has ended"
        said += part
    return said.decode()
