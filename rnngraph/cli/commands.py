"""The group of commands: listed by their docstrings, so that help is quick; options are read once one is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

HELP_ALL = "--help-all"
FOLDED_AWAY = f"{HELP_ALL} also shows the options of the demo's model and of a model of your own."
_ALL = "rnngraph: all options"


class FoldedCommand(TyperCommand):
    """A command whose help shows its own options, and with `--help-all` also those of the panels that it folds."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--help-all` for `--help`, and remember it."""
        own = args[: args.index("--")] if "--" in args else args
        ctx.meta[_ALL] = HELP_ALL in own
        return super().parse_args(ctx, ["--help" if one == HELP_ALL and place < len(own) else one
                                        for place, one in enumerate(args)])  # fmt: skip

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the options that are not folded away."""
        from rnngraph.cli.options.declare import FOLDED

        for one in self.get_params(ctx):
            if getattr(one, "is_flag", False):
                one.metavar = ""  # else it seems to want a <bool> behind it
        params, epilog = self.params, self.epilog
        folded = [one for one in params if getattr(one, "rich_help_panel", None) in FOLDED]
        if not ctx.meta.get(_ALL):
            self.params = [one for one in params if one not in folded]
            if folded and epilog:
                self.epilog = f"{FOLDED_AWAY}\n\n{epilog}"
        try:
            super().format_help(ctx, formatter)
        finally:
            self.params, self.epilog = params, epilog


class CommandGroup(TyperGroup):
    """A group whose commands are plain functions with examples; see `rows`."""

    rows: ClassVar[Sequence[tuple[Callable[..., None], tuple[str, ...]]]] = ()
    kinds: ClassVar[Mapping[str, type[FoldedCommand]]] = {}  # of commands that parse in a way of their own

    def __init__(self, **given: Any) -> None:
        """List the commands."""
        listed = {one.__name__: TyperCommand(one.__name__, help=inspect.getdoc(one)) for one, _ in self.rows}
        super().__init__(**{**given, "commands": listed})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `help norms` for `norms --help`."""
        if args and args[0] == "help":
            args = [*[one for one in args[1:] if not one.startswith("-")][:1], *args[2:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command that is called, with all of its options."""
        name, listed, rest = super().resolve_command(ctx, args)
        if listed is None:
            return name, None, rest
        command, examples = next(row for row in self.rows if row[0].__name__ == listed.name)
        return name, _with_all_options(command, examples, self.kinds.get(command.__name__, FoldedCommand)), rest


@cache
def _with_all_options(command: Callable[..., None], examples: tuple[str, ...], kind: type[FoldedCommand]) -> Any:
    """Read a command's options: once in a process that runs it several times, as it takes half of a short one."""
    from rnngraph.cli.options.declare import with_options

    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    # Typer sets every paragraph of an epilog on a line of its own.
    epilog = "\n\n".join(("Examples:", *examples))
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    alone.command(command.__name__, cls=kind, help=text, epilog=epilog)(with_options(command))
    return typer.main.get_command(alone)
