"""`rnngraph history`: what a training did to the reach, from the folder that its monitor filled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rnngraph.cli.options import JSON, ChartArguments

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
    chart: ChartArguments,
    horizon: Annotated[
        int | None, typer.Option(metavar="LAG", help="The lag that the task needs, at which gains are compared.")
    ] = None,
    json: JSON = False,
) -> None:  # fmt: skip
    """Say what a training did to the reach.

    A row for every measurement in the folder, and a trend, opening, closing or steady, that three measurements in a row
    have to agree on. Files that are damaged or foreign are passed by and named.
    """
    import rnngraph
    from rnngraph.cli.console import report_console, working, write_report

    target = chart.target(what="a history", json=json)
    with working("reading the traces"):
        found = rnngraph.history(folder, horizon=horizon)
    if target is not None:
        from rnngraph.render.picture.charts import report_bytes

        chart.write(partial(report_bytes, found), target)
    elif json:
        from rnngraph.render.report.history.history_report import history_json

        write_report(history_json(found))
    else:
        from rnngraph.render.report.history.history_report import HistoryReport

        report_console().print(HistoryReport(found))
