"""The command line: the table of commands, and the one place where an error becomes an exit status.

Exit status: 0 fine, 1 a check that failed, 2 usage, 3 a file that cannot be read or written, 4 a missing
tool.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, ClassVar

import typer

from rnngraph.cli import check, context, decay, diagnose, lags, norms, render, trace
from rnngraph.cli.commands import CommandGroup
from rnngraph.errors import FileError, MissingToolError, RnnGraphError

COMMANDS = (
    (render.render, render.EXAMPLES),
    (norms.norms, norms.EXAMPLES),
    (lags.lags, lags.EXAMPLES),
    (diagnose.diagnose, diagnose.EXAMPLES),
    (context.context, context.EXAMPLES),
    (trace.trace, trace.EXAMPLES),
    (check.check, check.EXAMPLES),
    (decay.decay, decay.EXAMPLES),
)
USAGE, FILE = 2, 3
EXIT_STATUS: tuple[tuple[type[RnnGraphError], int], ...] = (
    (FileError, FILE),
    (MissingToolError, 4),
    (RnnGraphError, USAGE),
)


class Commands(CommandGroup):
    """The commands of `rnngraph`."""

    rows = COMMANDS
    kinds: ClassVar = {"diagnose": diagnose.DiagnoseCommand}


app = typer.Typer(
    name="rnngraph",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # a list of commands needs no panels, which cost more than all else that is shown
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from rnngraph import __version__

        typer.echo(f"rnngraph {__version__}")
        raise typer.Exit


@app.callback()
def rnngraph(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """See how far back a recurrent network learns, and where the gradient dies.

    Without a SOURCE every command works on the demo: a network that captions images of handwritten digits.
    """


def main() -> None:
    """Run the command line and exit with its status; a user's error is one sentence on stderr."""
    try:
        app(prog_name="rnngraph")
    except RnnGraphError as error:
        # Where a user's own function failed, its own lines of the traceback come first.
        print(getattr(error, "frames", ""), end="", file=sys.stderr)
        print(f"rnngraph: {error}", file=sys.stderr)
        sys.exit(next(status for kind, status in EXIT_STATUS if isinstance(error, kind)))
    except BrokenPipeError:
        # Whoever read the report has closed the pipe, as `head` does; nothing is left to be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"rnngraph: {where}{error.strerror or error}.", file=sys.stderr)
        sys.exit(FILE)
    except MemoryError:
        print(
            "rnngraph: there is not enough memory: choose fewer timesteps, units or captions.",
            file=sys.stderr,
        )
        sys.exit(USAGE)
