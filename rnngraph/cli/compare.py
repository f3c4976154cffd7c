"""`rnngraph compare`: what differs between two networks, two starts, or two moments of a training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rnngraph.cli.options import ChartArguments
from rnngraph.errors import InputError

EXAMPLES = (
    "rnngraph compare before.npz after.npz",
    "rnngraph compare runs/a runs/b -o compare.svg",
    "rnngraph compare main.npz branch.npz --fail-on worse --tolerance 0.3",
    "rnngraph compare a.npz b.npz --json | jq .parting",
)
WORSE, FOUND = "worse", 1


def _side(text: str) -> Any:
    return typer.Argument(metavar=text, help="A saved run (.npz), or a training's folder: its last one.",
                          show_default=False)  # fmt: skip


def compare(
    a: Annotated[Path, _side("A")],
    b: Annotated[Path, _side("B")],
    chart: ChartArguments,
    horizon: Annotated[
        int | None, typer.Option(metavar="LAG", help="The lag that the task needs, at which they are compared.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="worse",
            help="Exit with status 1 if B reaches less far than A, keeps less, or has an error that A has not.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(metavar="DECADES", help="With --fail-on: by how much it may be less; 0.1, a fifth, by default."),
    ] = None,
) -> None:
    """Say what differs between two networks.

    How far each reaches, where their norms part, their verdicts, gates and saturation. What the two do not have in
    common is left out and named.
    """
    import rnngraph
    from rnngraph.cli.console import complain, working
    from rnngraph.history.compare.worse import TOLERANCE
    from rnngraph.history.compare.worse import worse as worse_of
    from rnngraph.render.picture.charts import report_bytes
    from rnngraph.render.report.comparison_report import comparison_json, comparison_report

    if fail_on not in (None, WORSE):
        raise InputError(f"--fail-on names {fail_on!r}; a comparison can be {WORSE} and nothing else.")
    if tolerance is not None and fail_on is None:
        raise InputError("--tolerance says how much less is no failure: give --fail-on worse as well, or leave it out.")
    target = chart.target("a comparison")
    with working("reading the traces"):
        found = rnngraph.compare(a, b, horizon=horizon)
    worse = None if fail_on is None else worse_of(found, tolerance=TOLERANCE if tolerance is None else tolerance)
    chart.show(
        target, draw=partial(report_bytes, found), document=partial(comparison_json, found, worse=worse),
        report=partial(comparison_report, found, worse),
    )  # fmt: skip
    if worse:
        complain("failed, as --fail-on worse asks: B is worse than A.")
        raise typer.Exit(FOUND)
