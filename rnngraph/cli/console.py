"""The two streams of the command line: reports go to stdout, status to stderr.

Rich drops colours for a pipe and for NO_COLOR, and takes the width from the terminal or from COLUMNS.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console

# Without a terminal there is no width to respect; this one holds every column of every report.
PIPE_WIDTH = 120
NARROWEST = 30  # below it, every line would be broken letter by letter
PATIENCE_SECONDS = 1.0


def report_console() -> Console:
    """Open stdout for a report."""
    _never_fail_on_a_character()
    console = Console(highlight=False, soft_wrap=False)
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        console.width = max(int(columns), NARROWEST)
    elif not console.is_terminal:
        console.width = PIPE_WIDTH
    elif columns:  # such as 0, which some environments set; the terminal knows better
        console.width = max(os.get_terminal_size(console.file.fileno()).columns, NARROWEST)
    return console


def status(message: str) -> None:
    """Say on stderr what was done; text in `message` is taken as it is."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)


@contextmanager
def working(message: str) -> Iterator[None]:
    """Show on a terminal that something is going on, if it takes longer than a person waits gladly."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    shown = console.status(message)
    timer = Timer(PATIENCE_SECONDS, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        shown.stop()


def stdout_is_terminal() -> bool:
    """Whether a person would see what is written to stdout."""
    return sys.stdout.isatty()


def _never_fail_on_a_character() -> None:
    """Show what the stream's encoding lacks as `?`: a label in another script must not end the report."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
