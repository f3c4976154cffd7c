"""The process's own streams: stdout is kept for reports alone; a reader that leaves is told from one never there.

`take_stdout` is called once, before anything of a user runs. From then on file descriptor 1 leads to stderr, so that
what a user's function, a C library or a child process prints cannot get into a report.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
from typing import Any, TextIO

from rnngraph.errors import FileError


class ReaderLeft(Exception):  # noqa: N818 - it is no error
    """Whoever read the report has closed the pipe, as `head` does; nothing is left to be said."""


class _Kept(io.FileIO):
    """The real stdout."""

    def write(self, data: Any) -> int:
        """Write.

        Raises:
            ReaderLeft: nobody reads any more; it is not an OSError, which libraries handle in ways of their own.
            FileError: the process was started without a stdout.
        """
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # what is still buffered is written when the process ends
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise ReaderLeft from None
            if error.errno == errno.EBADF:
                raise FileError(
                    "stdout is closed, so that the report cannot be written; open it, or name a file with -o."
                ) from None
            raise


# The signs of reports and of their bars, a sign for a sign: columns stay where they are.
_SIGNS = dict(zip("×·‖∂…σ²ᵀ▁▂▃▄▅▆▇█▏▎▍▌▋▊▉", "x-|d~s2T1234567#...####", strict=True))


def _simpler(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks as wide as it was: a sign of reports, a letter without its accents, else a `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_letter(sign, error.encoding) for sign in error.object[error.start : error.end]), error.end


def _letter(sign: str, encoding: str) -> str:
    from rich.cells import cell_len

    if sign in _SIGNS:
        return _SIGNS[sign]
    plain = "".join(one for one in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(one))
    wide = cell_len(sign)
    try:
        return plain if len(plain) == wide and plain.encode(encoding) else "?" * wide
    except UnicodeEncodeError:
        return "?" * wide


SIMPLER = "rnngraph-simpler"  # a label in another script must not end the report, nor move the columns beside it
codecs.register_error(SIMPLER, _simpler)

_stdout: TextIO | None = None  # the process has one of each
_stderr: TextIO | None = None


def take_stdout() -> None:
    """Keep stdout for reports; whatever else writes to it comes out on stderr."""
    global _stdout, _stderr
    there = [_is_open(number) for number in range(3)]
    for descriptor, is_open in enumerate(there):
        if not is_open:  # else the next file that is opened would take its place, and be written into
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)  # a lost report is told, see `_Kept`
    if sys.stderr is None:
        sys.stderr = _text(io.FileIO(2, "w", closefd=False))
    raw = _copy(1, _Kept)
    encoding = sys.stdout.encoding if there[1] and sys.stdout is not None else "utf-8"
    # A user's function may close or replace `sys.stderr`; what has to be said of it must still be said.
    _stderr = _text(_copy(2, io.FileIO))
    _stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=SIMPLER, line_buffering=raw.isatty())
    os.dup2(2, 1)
    sys.stdout = _stdout  # help and completion are printed by typer


def report_stream() -> TextIO:
    """Return what reports are written to."""
    if _stdout is not None:
        return _stdout
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=SIMPLER)
    return sys.stdout


def error_stream() -> TextIO:
    """Return what errors and the state of the work are written to."""
    return _stderr or sys.stderr


def let_others_print() -> None:
    """Lead what a user's code prints from here on to stderr, also at the end of the process."""
    if _stdout is not None:
        sys.stdout = sys.stderr


def finish() -> None:
    """Hand over what is still buffered.

    Raises:
        ReaderLeft: nobody reads any more.
        FileError: stdout is closed.
        OSError: it cannot be written, as where a disk is full.
    """
    if _stdout is not None:
        _stdout.flush()


def _copy(descriptor: int, kind: type[io.FileIO]) -> io.RawIOBase:
    """Open a stream a second time; a console of Windows takes text through a door of its own, which `open` knows."""
    number = os.dup(descriptor)
    if sys.platform == "win32" and os.isatty(number):
        return open(number, "wb", buffering=0, closefd=False)
    return kind(number, "w", closefd=False)


def _text(raw: io.RawIOBase) -> TextIO:
    # mypy knows of no TextIOWrapper around what has no buffer, which write_through is for.
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
