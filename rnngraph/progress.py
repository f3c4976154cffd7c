"""How far long work is, told to whoever listens: nobody, but the command line where it shows it on a terminal.

In: what is being done, and steps done of how many. Out: a call of the listener. Telling costs next to nothing where
nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]

_listeners: list[Listener] = []  # the innermost last
_doing: list[str] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear of everything that is told inside, as a text such as `walking 32 losses back: step 1,204 of 3,000`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Name what is done inside; names inside of names are joined."""
    _doing.append(what)
    _tell("")
    try:
        yield
    finally:
        _doing.pop()


def tell(done: int, total: int, noun: str = "step") -> None:
    """Say how far it is."""
    if _listeners:
        _tell(f"{noun} {min(done, total):,} of {total:,}")


def _tell(far: str) -> None:
    if _listeners:
        _listeners[-1](": ".join(part for part in (", ".join(_doing), far) if part))
