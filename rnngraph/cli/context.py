"""`rnngraph context`: how much of its past a trained network uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnngraph.cli.options import SourceArguments
from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.trace.used_past import ContextTrace

EXAMPLES = (
    "rnngraph context model.py:trained",
    "rnngraph context --weights model.safetensors --data batch.npz",
    "rnngraph context model.py:trained -o context.svg",
    "rnngraph context model.py:trained --json | jq .in_use",
    "rnngraph diagnose model.py:trained --horizon context",
)


def context(
    source: SourceArguments,
    most: Annotated[int | None, typer.Option(metavar="LAG", help="Try no longer context than this.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a picture instead: .svg.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file of another kind.")] = False,
) -> None:
    """Say how much of its past a trained network uses.

    The loss is measured with the state reset 0, 1, 2, 4, ... steps before it. The least past from which on it is no
    worse than with all of it is in use.
    """
    if json and output is not None:
        raise InputError("--json goes to stdout and --output to a file: leave one of them out.")
    if output is not None:
        _draw(source, most, output, force=force)
        return
    found = _measured(source, most)
    if json:
        from rnngraph.cli.console import write_report
        from rnngraph.render.report.context import context_json

        write_report(context_json(found))
    else:
        from rnngraph.cli.console import report_console
        from rnngraph.render.report.context import context_text

        console = report_console()
        console.print(context_text(found, ascii_only=console.options.ascii_only))


def context_in_use(source: SourceArguments) -> int:
    """Measure the lag in use, for a verdict at that lag.

    Raises:
        InputError: the network uses none of its past, or SOURCE cannot be run again.
    """
    from rnngraph.cli.console import status

    found = _measured(source, None)
    if found.in_use == 0:
        raise InputError("--horizon is context, but the network uses none of its past: give a lag, or train it first.")
    lag = int(found.lags[-1]) if found.in_use is None else found.in_use
    status(f"context in use: lag {lag}")
    return lag


def _measured(source: SourceArguments, most: int | None) -> ContextTrace:
    import rnngraph
    from rnngraph.cli.console import working
    from rnngraph.cli.source import open_loss
    from rnngraph.cli.streams import let_others_print
    from rnngraph.sources.resolve import python_context
    from rnngraph.sources.target import is_target

    if source.model.weights is None and is_target(source.source):
        source.refuse_demo_options(f"{source.source} is a Python function, which takes --set")
        let_others_print()
        with working("leaving out the past"):
            return python_context(str(source.source), source.model, most)
    loss = open_loss(source)
    with working("leaving out the past"):
        return rnngraph.context(loss, most=most)


def _draw(source: SourceArguments, most: int | None, output: Path, *, force: bool) -> None:
    from rnngraph.cli.output import STDOUT, Target, write_output
    from rnngraph.render.format import renderer_named
    from rnngraph.render.report.context import context_picture
    from rnngraph.render.save import check_picture

    if output != STDOUT:
        if output.suffix.lower() != ".svg":
            raise InputError(f"{str(output)!r} has no suffix that the context can be drawn in; use .svg.")
        check_picture(output, renderer_named("svg"), force=force)
    target = Target.of(output)
    write_output(context_picture(_measured(source, most)).encode("utf-8", "backslashreplace"), target)
