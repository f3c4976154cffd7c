"""`rnngraph history`: what a training did to the reach, from the folder that its monitor filled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnngraph.errors import InputError

EXAMPLES = (
    "rnngraph history runs/a",
    "rnngraph history runs/a --horizon 80",
    "rnngraph history runs/a -o history.svg",
    "rnngraph history runs/a --json | jq '.checks[] | [.step, .loss, .reach]'",
)


def history(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder of traces that rnngraph.torch.monitor filled.",
                       show_default=False),
    ],
    horizon: Annotated[
        int | None, typer.Option(metavar="LAG", help="The lag that the task needs, at which gains are compared.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a picture instead: .svg, .png or .html."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file of another kind.")] = False,
) -> None:  # fmt: skip
    """Say what a training did to the reach.

    A row for every measurement in the folder, and a trend, opening, closing or steady, that three measurements in a row
    have to agree on. Files that are damaged or foreign are passed by and named.
    """
    import rnngraph
    from rnngraph.cli.console import report_console, working, write_report
    from rnngraph.cli.output import Target, chart_format, write_output

    if json and output is not None:
        raise InputError("--json goes to stdout and --output to a file: leave one of them out.")
    picture = chart_format(output, "a history", force=force) if output is not None else None
    target = Target.of(output) if output is not None else None
    with working("reading the traces"):
        found = rnngraph.history(folder, horizon=horizon)
    if picture is not None and target is not None:
        from rnngraph.render.report.history.history_picture import history_picture

        write_output(history_picture(found, picture), target)
    elif json:
        from rnngraph.render.report.history.history_json import history_json

        write_report(history_json(found))
    else:
        from rnngraph.render.report.history.history_terminal import HistoryReport

        report_console().print(HistoryReport(found))
