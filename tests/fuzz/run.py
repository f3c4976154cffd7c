"""Run cases: many in one child process, or one in a process of its own; a child that dies or hangs is told apart.

The parent has loaded everything once. A child is forked, so that it costs milliseconds, and works in its own folder.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from rnngraph.cli import app
from tests.fuzz.case import Case
from tests.fuzz.check import Outcome, failures

PATIENCE = 600.0  # seconds that one case may take on the wall, however busy the machine is
LARGEST_DATA = 6 * 2**30  # a bound that keeps the machine alive; the property is checked apart from it


def run_alone(case: Case) -> tuple[Outcome, list[str]]:
    """Run a case in a process of its own, through the program's own beginning and end."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder, said = Path(place) / "work", Path(place)
        folder.mkdir()
        case.write(folder)
        before = _listing(folder)
        child = os.fork()
        if not child:
            _become_the_program(case, folder, said)
        status, usage, late = _wait(child, PATIENCE)
        after = _listing(folder)
        outcome = Outcome(
            status, _text(said / "stdout"), _text(said / "stderr"), usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * 1024, _appeared(before, after), _changed(before, after),
        )  # fmt: skip
        found = failures(outcome, case.arguments, case.output)
        return outcome, ["it hangs", *found] if late else found


def run_together(numbers: Sequence[int], make: Callable[[int], Case]) -> Iterator[dict[str, Any]]:
    """Run several cases in one child; yield a row for each that was finished, and one for that at which it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _work(numbers, make, writing)
    os.close(writing)
    current, deadline, rest = None, monotonic() + PATIENCE, b""
    while select.select([reading], [], [], max(0.0, deadline - monotonic()))[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        deadline = monotonic() + PATIENCE
        for row in map(json.loads, lines):
            current = row["number"] if row.get("begins") else None
            if current is None:
                yield row
    os.close(reading)
    status, _, late = _wait(child, 1.0)
    if current is not None:
        yield {"number": current, "died": True, "failures": ["it hangs" if late else f"the process died: {status}"]}


def _work(numbers: Sequence[int], make: Callable[[int], Case], writing: int) -> None:
    rows = os.fdopen(writing, "w", encoding="utf-8")

    def tell(**row: Any) -> None:
        rows.write(json.dumps(row) + "\n")
        rows.flush()

    code = 1
    try:
        for number in numbers:
            tell(number=number, begins=True)
            try:
                case = make(number)
            except Exception:  # the search's own fault, which must be seen
                tell(number=number, kind="unmade", failures=[traceback.format_exc()[-400:]])
                continue
            outcome, found = _run_here(case)
            tell(number=number, kind=case.kind, status=outcome.status, failures=found)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _run_here(case: Case) -> tuple[Outcome, list[str]]:
    if case.whole:
        return run_alone(case)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    home = os.getcwd()
    try:
        case.write(folder)
        before, begun = _listing(folder), resource.getrusage(resource.RUSAGE_SELF)
        buffers = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(buffer, "utf-8", "backslashreplace") for buffer in buffers)
        os.chdir(folder)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status: Any = app.outcome(case.arguments)
            except BaseException as error:  # nothing may get past it
                traceback.print_exc()
                status = f"raised {type(error).__name__}"
        os.chdir(home)
        usage, after = resource.getrusage(resource.RUSAGE_SELF), _listing(folder)
        out.flush()
        err.flush()
        said, complained = (buffer.getvalue().decode("utf-8", "replace") for buffer in buffers)
        seconds = usage.ru_utime + usage.ru_stime - begun.ru_utime - begun.ru_stime
        # What the process took before is no fault of this case.
        memory = usage.ru_maxrss * 1024 if usage.ru_maxrss > begun.ru_maxrss else 0
        outcome = Outcome(status if isinstance(status, int) else -1, said, complained, seconds, memory,
                          _appeared(before, after), _changed(before, after))  # fmt: skip
        return outcome, failures(outcome, case.arguments, case.output)
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)
        gc.collect(0)


def _become_the_program(case: Case, folder: Path, said: Path) -> None:
    code: Any = 70
    try:
        os.chdir(folder)
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            opened = os.open(said / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - of a process that ends
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(fd, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
            for fd in (1, 2)
        )
        resource.setrlimit(resource.RLIMIT_CPU, (40, 50))
        resource.setrlimit(resource.RLIMIT_DATA, (LARGEST_DATA, LARGEST_DATA))
        sys.argv = ["rnngraph", *case.arguments]
        try:
            app.main()
        except SystemExit as error:
            code = error.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code if isinstance(code, int) else 1)


def _wait(child: int, seconds: float) -> tuple[int, resource.struct_rusage, bool]:
    handle = os.pidfd_open(child)
    late = not select.select([handle], [], [], seconds)[0]
    os.close(handle)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage, late


def _listing(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        if "__pycache__" not in path.parts:
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else "no file"
    return found


def _appeared(before: dict[str, object], after: dict[str, object]) -> tuple[str, ...]:
    return tuple(name for name in after if name not in before)


def _changed(before: dict[str, object], after: dict[str, object]) -> tuple[str, ...]:
    return tuple(name for name in before if name not in after or after[name] != before[name])


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
