"""The command line: the table of commands, and the one place where an error becomes an exit status.

Exit status: 0 fine, 1 a check that failed or a finding, 2 usage, 3 a file that cannot be read or written, 4 a missing
tool, 70 a defect of ours, 128 and more a signal. The status 1 is a verdict, and nothing unforeseen is ever given it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NoReturn

import typer

from rnngraph.cli import (
    check,
    compare,
    console,
    context,
    decay,
    diagnose,
    history,
    lags,
    norms,
    render,
    stop,
    streams,
    trace,
)
from rnngraph.cli.commands import CommandGroup
from rnngraph.errors import FileError, MissingToolError, RnnGraphError, said

COMMANDS = (
    (render.render, render.EXAMPLES),
    (norms.norms, norms.EXAMPLES),
    (lags.lags, lags.EXAMPLES),
    (diagnose.diagnose, diagnose.EXAMPLES),
    (context.context, context.EXAMPLES),
    (history.history, history.EXAMPLES),
    (compare.compare, compare.EXAMPLES),
    (trace.trace, trace.EXAMPLES),
    (check.check, check.EXAMPLES),
    (decay.decay, decay.EXAMPLES),
)
USAGE, FILE, DEFECT, INTERRUPTED = 2, 3, 70, 130
EXIT_STATUS: tuple[tuple[type[RnnGraphError], int], ...] = (
    (FileError, FILE),
    (MissingToolError, 4),
    (RnnGraphError, USAGE),
)
# Typer has no name of its own for the root of what is wrong with a command line.
_WRONG_USAGE: type[Exception] = typer.BadParameter.__mro__[2]


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
    Of a command: rnngraph help norms, or rnngraph norms --help-all.
    """


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    streams.take_stdout()
    warnings.showwarning = console.warn
    stop.unwind()
    arguments, sys.argv[1:] = sys.argv[1:], []  # they are not those of a script that reads its own
    status = outcome(arguments)
    if stop.stopped():
        console.complain("stopped.")
        stop.leave()
    stop.ignore_further()
    sys.exit(status)


def outcome(arguments: Sequence[str]) -> int:
    """Run one command: however it ends, that becomes a status, and what went wrong one sentence on stderr."""
    try:
        status = app(list(arguments), prog_name="rnngraph", standalone_mode=False)
        streams.finish()
        return status if isinstance(status, int) else 0
    except streams.ReaderLeft:
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except _WRONG_USAGE as error:
        return _usage(error)
    except RnnGraphError as error:
        # Where a user's own function failed, its own lines of the traceback come first.
        console.complain(said(error, longest=None), before=str(getattr(error, "frames", "")))
        return next(status for kind, status in EXIT_STATUS if isinstance(error, kind))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.complain(f"{where}{error.strerror or said(error)}.")
        return FILE
    except MemoryError:
        console.complain("there is not enough memory: choose fewer timesteps, units or captions.")
        return USAGE
    except SystemExit:  # of completion
        raise
    except BaseException as error:
        return _unforeseen(error)


def _usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        console.complain("name a command.", before=f"{error.format_message()}\n")
        return USAGE
    message, context = error.format_message().strip().removesuffix("."), error.ctx
    usage = "" if context is None else f"{context.get_usage().splitlines()[0]}\n"
    command = "rnngraph" if context is None else context.command_path
    # A number that is none is named by the error beneath alone.
    given = [repr(one["input"]) for one in getattr(error.__cause__, "errors", list)()]
    message = ": ".join([f"{message[:1].lower()}{message[1:]}", *given])
    see = f"{message} See" if message.endswith("?") else f"{message}; see"
    console.complain(f"{see} {command} --help.", before=usage)
    return USAGE


def _unforeseen(error: BaseException) -> int:
    """Tell a defect of this package from one of a user's code that it called."""
    from rnngraph.sources.target.importing import innermost_frame

    kind, file, line, is_users = type(error).__name__, *innermost_frame(error)
    what = f"{kind}: {said(error)}" if said(error) != kind else kind
    if is_users:
        console.complain(f"your code raised {what} ({file}, line {line}).")
        return USAGE
    console.complain(f"this is a defect of rnngraph: {what} ({file}, line {line}); report this line and your command.")
    return DEFECT
