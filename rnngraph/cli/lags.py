"""`rnngraph lags`: how much each loss is felt at each earlier step, as a curve and a matrix."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rnngraph.cli.options import FROM, ChartArguments, LagArguments, SourceArguments
from rnngraph.cli.source import Measures, open_trace

EXAMPLES = (
    "rnngraph lags",
    "rnngraph lags --cell lstm --timesteps 100 --losses all",
    "rnngraph lags --timesteps 2000 --losses all --max-lag 200",
    "rnngraph lags run.npz -o lags.svg",
    "rnngraph lags run.npz --from 30 --theme dark -o lags.png",
    "rnngraph lags --json | jq .reach",
)


def lags(
    source: SourceArguments,
    wanted: LagArguments,
    chart: ChartArguments,
    state: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Show only this state, such as rnn.h_l1; may be repeated.")
    ] = None,
    seen_from: FROM = None,
) -> None:
    """Report how far back each step's loss is felt.

    First how much is left of all losses together at every lag, where the network is fed and in its states, of what is
    there a step back; then what is left of each loss at every step, of what it is at its own. --from chooses the loss
    that the picture outlines and whose curve it draws.
    """
    from rnngraph.diagnosis.chosen_loss import known_loss
    from rnngraph.diagnosis.one_loss import TOTAL
    from rnngraph.errors import InputError
    from rnngraph.graph.charts.lags_chart import lag_sheet
    from rnngraph.render.picture.charts import chart_bytes
    from rnngraph.render.report.lags_report import lags_json, lags_report

    chosen = known_loss(seen_from, name="--from")
    measures, target = Measures(lags=wanted.options(source.source, chosen)), chart.target("lags")
    if chosen == TOTAL:
        raise InputError("--from is total, but lags are those of single losses; rnngraph norms shows the sum over all.")
    trace = open_trace(source, measures)
    chart.show(
        target, draw=partial(chart_bytes, partial(lag_sheet, trace, states=state, seen_from=chosen)),
        document=partial(lags_json, trace, states=state), report=partial(lags_report, trace, states=state),
    )  # fmt: skip
