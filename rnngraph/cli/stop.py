"""Ctrl-C and its kin: the program unwinds, so that no half-written file is left, and says one word."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_received: list[int] = []


def leave_quietly() -> None:
    """End the process at once with a word on Ctrl-C, while nothing has been done yet."""
    _set(_leave)


def unwind() -> None:
    """Raise KeyboardInterrupt where the program stands; a second signal ends it at once."""
    sys.unraisablehook = _once_more
    _set(_unwind)


def ignore_further() -> None:
    """Let the system end the process on a signal, now that all is said."""
    _set(signal.SIG_DFL)


def leave() -> NoReturn:
    """End the process with the status of the signal that came.

    Not by `sys.exit`: Python ends itself by the signal where that hit inside of an `exec`, however it was handled.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(128 + stopped())


def stopped() -> int:
    """Give the number of the signal that came, 0 where none did."""
    return _received[0] if _received else 0


def _set(handler: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` asks
            signal.signal(number, handler)  # type: ignore[arg-type]


def _leave(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"rnngraph: stopped.\n")
    finally:
        os._exit(128 + number)


def _unwind(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def _once_more(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again that came while an array was taken down, where Python lets no exception out."""
    if not (_received and issubclass(lost.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(lost)
        return
    number = _received[-1]
    signal.signal(number, _unwind)
    threading.Timer(0.001, _send, [number]).start()


def _send(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # so that a wait of the main thread ends
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
