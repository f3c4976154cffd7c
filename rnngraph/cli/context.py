"""`rnngraph context`: how much of its past a trained network uses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rnngraph.cli.options import ChartArguments, SourceArguments
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
    chart: ChartArguments,
    most: Annotated[int | None, typer.Option(metavar="LAG", help="Try no longer context than this.")] = None,
) -> None:
    """Say how much of its past a trained network uses.

    The loss is measured with the state reset 0, 1, 2, 4, ... steps before it. The least past from which on it is no
    worse than with all of it is in use.
    """
    from rnngraph.render.picture.charts import report_bytes
    from rnngraph.render.report.context import context_json, context_report

    target = chart.target("the context")
    found = _measured(source, most)
    chart.show(
        target, draw=partial(report_bytes, found), document=partial(context_json, found),
        report=partial(context_report, found),
    )  # fmt: skip


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
    from rnngraph.cli.console import working
    from rnngraph.cli.source import open_source

    opened = open_source(source)
    with working("leaving out the past"):
        return opened.context(most)
