"""The three lines at the top of every report, for a rich console and as JSON: where it ends, why, what to try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.headline import headline
from rnngraph.render.report.text import printable, spelled, wrapped
from rnngraph.render.title import verdict_of
from rnngraph.trace.model import Trace

KEYS = ("where", "why", "try")
_INDENT = 5


def headline_of(trace: Trace) -> tuple[str, str, str] | None:
    """Judge a trace and give its three sentences; None where it holds nothing on which a verdict can be given."""
    found = verdict_of(trace)
    return None if found is None else headline(found)


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentences, the first in bold; give it to a rich console."""

    sentences: tuple[str, str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Set a sentence a paragraph, with its word before it."""
        title, *others = (spelled(printable(one), ascii_only=options.ascii_only) for one in self.sentences)
        yield from wrapped(title, console, options.max_width, "bold")
        for word, text in zip(("Why", "Try"), others, strict=True):
            lines = wrapped(text, console, options.max_width - _INDENT) if text else ()
            for number, line in enumerate(lines):
                yield Text.assemble((("" if number else word).ljust(_INDENT), "bold"), line)


def headline_document(sentences: tuple[str, str, str] | None) -> dict[str, str] | None:
    """Give the sentences by name."""
    return None if sentences is None else dict(zip(KEYS, sentences, strict=True))
