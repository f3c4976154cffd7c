"""`rnngraph lags`: how much each loss is felt at each earlier step, as a curve and a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnngraph.cli.options import LagArguments, SourceArguments
from rnngraph.cli.source import Measures, open_trace

EXAMPLES = (
    "rnngraph lags",
    "rnngraph lags --cell lstm --timesteps 100 --losses all",
    "rnngraph lags --timesteps 2000 --losses all --max-lag 200",
    "rnngraph lags run.npz -o lags.svg",
    "rnngraph lags --json | jq '.states[0].memory_horizon'",
)


def lags(
    source: SourceArguments,
    wanted: LagArguments,
    state: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Show only this state, such as rnn.h_l1; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a picture instead: .svg or .html.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file of another kind.")] = False,
) -> None:
    """Report how far back each step's loss is felt.

    The lag curve, the lag matrix, and the memory horizon. A lag of k compares the gradient of one loss k steps back
    with the same gradient at its own step, so that it does not depend on the size of the loss.
    """
    from rnngraph.cli.console import report_console, write_report
    from rnngraph.errors import InputError
    from rnngraph.render.report.lags.terminal import lags_report

    measures = Measures(wanted.options(source.source))
    if json and output is not None:
        raise InputError("--json goes to stdout and --output to a file: leave one of them out.")
    if output is not None:
        from rnngraph.cli.output import Target, write_output
        from rnngraph.render.report.lags.picture import lags_picture

        chosen, target = _picture_format(output, force=force), Target.of(output)
        trace = open_trace(source, measures)
        write_output(lags_picture(trace, chosen, states=state).encode("utf-8", "backslashreplace"), target)
        return
    trace = open_trace(source, measures)
    if json:
        from rnngraph.render.report.lags.document import lags_json

        write_report(lags_json(trace, states=state))
    else:
        report_console().print(lags_report(trace, states=state))


def _picture_format(output: Path, *, force: bool) -> str:
    from rnngraph.cli.output import STDOUT
    from rnngraph.errors import InputError
    from rnngraph.render.format import renderer_named
    from rnngraph.render.report.lags.picture import FORMATS
    from rnngraph.render.save import check_picture

    if output == STDOUT:
        return "svg"
    name = FORMATS.get(output.suffix.lower())
    if name is None:
        raise InputError(f"{str(output)!r} has no suffix that lags can be drawn in; use one of {', '.join(FORMATS)}.")
    check_picture(output, renderer_named(name), force=force)
    return name
