"""The group of commands: listed by their docstrings, so that help is quick; options are read once one is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class CommandGroup(TyperGroup):
    """A group whose commands are plain functions with examples; see `rows`."""

    rows: ClassVar[Sequence[tuple[Callable[..., None], tuple[str, ...]]]] = ()
    kinds: ClassVar[Mapping[str, type[TyperCommand]]] = {}  # of commands that parse in a way of their own

    def __init__(self, **given: Any) -> None:
        """List the commands."""
        listed = {one.__name__: TyperCommand(one.__name__, help=inspect.getdoc(one)) for one, _ in self.rows}
        super().__init__(**{**given, "commands": listed})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command that is called, with all of its options."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and self._whole(listed.name), rest

    def _whole(self, name: str | None) -> Any:
        from rnngraph.cli.options.declare import with_options

        command, examples = next(row for row in self.rows if row[0].__name__ == name)
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        # Typer sets every paragraph of an epilog on a line of its own.
        epilog = "\n\n".join(("Examples:", *examples))
        paragraphs = (inspect.getdoc(command) or "").split("\n\n")
        text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        alone.command(name, cls=self.kinds.get(command.__name__), help=text, epilog=epilog)(with_options(command))
        return typer.main.get_command(alone)
