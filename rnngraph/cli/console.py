r"""The one door of the command line to stdout and stderr: everything that is said goes through it.

Names, notes, messages and labels come from files and from other people's code. Here, and only here, what a terminal
would obey is written as a code instead: escape sequences, NUL, marks that turn the direction of a line. The code is
that of JSON (`\u001b`), so that a report in JSON keeps its meaning. Colours are put on behind the door, by Rich; it
drops them for a pipe and for NO_COLOR, and takes the width from the terminal or from COLUMNS.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rnngraph.cli.streams import error_stream, report_stream
from rnngraph.progress import listening

# Without a terminal there is no width to respect; this one holds every column of every report.
PIPE_WIDTH = 120
NARROWEST = 30  # below it, every line would be broken letter by letter
PATIENCE_SECONDS = 1.0
_REFRESH_SECONDS = 0.1
LONGEST_SENTENCE = 2000  # of a message; who gave a megabyte as a name does not want it back
_UNUSUAL = re.compile(r"[^ -~\n\t]")
_JOINERS = "\u200c\u200d"  # they stand inside of words and of emoji, and turn nothing


def shown(text: str) -> str:
    """Write what a terminal would obey, or could not show, as JSON writes it; lines and tabs stay."""
    return text if text.isprintable() else _UNUSUAL.sub(lambda found: _known(found[0]), text)


def one_line(text: str) -> str:
    """Show a message of one line, cut in the middle where it is endless; a path's bytes are read as UTF-8 again."""
    with suppress(UnicodeError):  # no bytes of a path, or none of UTF-8
        text = text.encode("utf-8", "surrogateescape").decode()
    line = shown(text).replace("\n", "\\n")
    if len(line) <= LONGEST_SENTENCE:
        return line
    return f"{line[: LONGEST_SENTENCE * 3 // 4]} … {line[-LONGEST_SENTENCE // 4 :]}"


def _known(sign: str) -> str:
    if sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs":
        return sign
    pairs = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[place : place + 4]}" for place in range(0, len(pairs), 4))


class _Guarded(Console):
    """A console on which nothing but Rich's own codes reaches the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with every text shown as `shown` gives it."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


def show(report: Callable[[], RenderableType], document: Callable[[], str], *, json: bool) -> None:
    """Write what a command found to stdout: its JSON, or its report for a person."""
    if json:
        write_report(document())
    else:
        report_console().print(report())


def report_console() -> Console:
    """Open stdout for a report."""
    console = _Guarded(file=report_stream(), highlight=False, markup=False, emoji=False, soft_wrap=False)
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and 0 < len(columns) < 10 and int(columns) > 0:
        console.width = max(int(columns), NARROWEST)
    elif not console.is_terminal:
        console.width = PIPE_WIDTH
    elif columns:  # such as 0, which some environments set; the terminal knows better
        console.width = max(os.get_terminal_size(console.file.fileno()).columns, NARROWEST)
    return console


def write_report(text: str) -> None:
    """Write a report that is text, such as JSON, to stdout."""
    stream = report_stream()
    stream.write(shown(text) + "\n")
    stream.flush()


def write_output_bytes(data: bytes) -> None:
    """Write a file's bytes to stdout, as they are but on a terminal."""
    stream = report_stream()
    if stream.isatty():
        stream.write(shown(data.decode("utf-8", "replace")))
    else:
        stream.flush()
        stream.buffer.write(data)
    stream.flush()


def stdout_is_terminal() -> bool:
    """Whether a person would see what is written to stdout."""
    return report_stream().isatty()


def status(message: str) -> None:
    """Say on stderr what was done; text in `message` is taken as it is."""
    _say(one_line(message) + "\n")


def complain(message: str, *, before: str = "") -> None:
    """Say on stderr, in one line, why a command ends; `before` are lines that belong to it, such as a traceback."""
    _say(f"{shown(before)}rnngraph: {one_line(message)}\n")


def warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    """Show a warning of Python; in the place of `warnings.showwarning`."""
    _say(one_line(f"{category.__name__}: {message} ({filename}, line {lineno})") + "\n")


def _say(text: str) -> None:
    try:
        stream = error_stream()
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # nobody is there to be told
        pass


def _error_console() -> Console:
    return _Guarded(file=error_stream(), highlight=False, markup=False, emoji=False)


@contextmanager
def working(message: str) -> Iterator[None]:
    """Show on a terminal what is going on, and how far it is, if it takes longer than a person waits gladly."""
    console = _error_console()
    if not console.is_terminal:
        yield
        return
    spinner = console.status(message)
    timer, shown_at = Timer(PATIENCE_SECONDS, spinner.start), 0.0
    timer.daemon = True
    timer.start()

    def hear(text: str) -> None:
        nonlocal shown_at
        if (now := monotonic()) - shown_at >= _REFRESH_SECONDS:
            shown_at = now
            spinner.update(one_line(f"{message}: {text}" if text else message))

    try:
        with listening(hear):
            yield
    finally:
        timer.cancel()
        timer.join()
        spinner.stop()
