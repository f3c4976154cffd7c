"""The process behind `tests.programs`: it loads the package, then forks a program for every order that comes in."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
import warnings
from typing import Any, NoReturn

from rnngraph.cli import app

SMALL = ("--hidden-size", "2", "--batch", "1", "--timesteps", "3")
ONCE = (
    ("norms", *SMALL), ("lags", *SMALL), ("diagnose", *SMALL), ("check", *SMALL), ("trace", *SMALL, "-o", "-"),
    ("render", *SMALL, "-o", "-"), ("norms", "--batch", "none"),
)  # fmt: skip


def load(package: str) -> None:
    """Load what programs need, by doing once what they do."""
    if package:
        importlib.import_module(package)
    if package == "torch":
        importlib.import_module("torch._dynamo")  # as every optimizer does when it is made
    for words in ONCE:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            app.outcome(words)
    gc.collect()
    gc.freeze()  # else the first collection in a child would copy every page


def listen(listening: socket.socket) -> None:
    """Fork for every worker that connects, until stdin ends; children that have ended are no zombies."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        orders, _ = listening.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            serve(orders)
            os._exit(0)
        orders.close()


def serve(orders: socket.socket) -> None:
    """Fork a program for each order; answer with its number, and when it has ended, its status and its memory."""
    while True:
        begins, descriptors, _, _ = socket.recv_fds(orders, 8, 3)
        if not begins:
            return
        size, data = int.from_bytes(begins, "big"), b""
        while len(data) < size:
            data += orders.recv(size - len(data))
        child = os.fork()
        if not child:
            orders.close()
            become(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        orders.sendall(f"{child}\n".encode())
        _, status, usage = os.wait4(child, 0)
        orders.sendall(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss * 1024}\n".encode())


def become(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the program from its first line to its last."""
    code: Any = 1
    try:
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        for to, descriptor in enumerate(descriptors):
            os.dup2(descriptor, to)
            os.close(descriptor)
        if order["closed"]:
            os.close(1)
        sys.stdin, sys.stdout, sys.stderr = (
            _reader(),
            None if order["closed"] else _writer(1, "strict"),
            _writer(2, "backslashreplace"),
        )
        warnings.resetwarnings()
        warnings.simplefilter(order["warnings"])
        _run(order["words"])
        code = 0
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(ValueError):  # the program has closed it
                stream.flush()
        os._exit(code)


def _run(words: list[str]) -> None:
    if words and words[0].endswith(".py"):
        sys.argv, sys.path[0] = words, os.path.dirname(words[0])
        runpy.run_path(words[0], run_name="__main__")
        return
    sys.argv, sys.path[0] = ["rnngraph", *words], os.getcwd()
    from rnngraph.__main__ import start

    start()


def _reader() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")


def _writer(descriptor: int, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=descriptor == 2 or raw.isatty())


if __name__ == "__main__":
    load(sys.argv[2])
    listen(socket.socket(fileno=int(sys.argv[1])))
