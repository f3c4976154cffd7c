"""The three lines at the top of every report, for a rich console and as JSON: where it ends, why, what to try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.render.report.text import printable, spelled, wrapped

KEYS = ("where", "why", "try")
_INDENT = 5


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
