"""`rnngraph history`: what a training did to the reach, from the folder that its monitor filled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rnngraph.cli.options import ChartArguments

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
) -> None:  # fmt: skip
    """Say what a training did to the reach.

    A row for every measurement in the folder, and a trend, opening, closing or steady, that three measurements in a row
    have to agree on. Files that are damaged or foreign are passed by and named.
    """
    import rnngraph
    from rnngraph.cli.console import working
    from rnngraph.render.picture.charts import report_bytes
    from rnngraph.render.report.history_report import history_json, history_report

    target = chart.target("a history")
    with working("reading the traces"):
        found = rnngraph.history(folder, horizon=horizon)
    chart.show(
        target, draw=partial(report_bytes, found), document=partial(history_json, found),
        report=partial(history_report, found),
    )  # fmt: skip
