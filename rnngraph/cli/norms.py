"""`rnngraph norms`: what is left of one loss at every timestep, or the norms of the sum, for a person or as JSON."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rnngraph.cli.options import FROM, JSON, LagArguments, SourceArguments
from rnngraph.cli.source import Measures, open_trace

EXAMPLES = (
    "rnngraph norms",
    "rnngraph norms --cell lstm --timesteps 60 --forget-bias 1",
    "rnngraph norms run.npz --from 30",
    "rnngraph norms run.npz --table --steps all",
    "rnngraph norms --gain 0.5 --json | jq '.states[0].steps[].grad.log10'",
)


def norms(
    source: SourceArguments,
    wanted: LagArguments,
    seen_from: FROM = None,
    table: Annotated[
        bool, typer.Option("--table", help="A line a timestep: the norms of the sum over all losses.")
    ] = False,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="RANGE",
            help="Timesteps of the table: 10:20, 0:3,97:100 or all; by default both ends of a long sequence.",
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A state of the table, such as rnn.h_l1; may be repeated."),
    ] = None,
    json: JSON = False,
) -> None:
    """Show how much of one loss's gradient is left at every timestep.

    A row a state, and what a step back keeps. The sum over all losses, which is flat even where nothing is carried, is
    one row; --table has its norms at every step: what of it comes from the step's own loss (immediate) and what from
    later steps (carried), the gain of a step back, and the share of saturated units.
    """
    from rnngraph.cli.console import show
    from rnngraph.diagnosis.chosen_loss import known_loss, seen
    from rnngraph.errors import InputError
    from rnngraph.render.report.norms.norms_json import norms_json
    from rnngraph.render.report.norms.terminal import norms_report, norms_tables

    chosen = known_loss(seen_from, name="--from")
    tabled = [name for name, given in (("--table", table), ("--steps", steps), ("--state", state)) if given]
    if json and tabled:
        raise InputError(f"--json always holds every step and state: leave {' and '.join(tabled)} out.")
    if tabled and isinstance(chosen, int):
        raise InputError(f"{tabled[0]} shows the sum over all losses, but --from is {chosen}: leave one of them out.")
    trace = open_trace(source, Measures(lags=wanted.options(source.source, chosen)))
    one = None if tabled else seen(trace, chosen)
    tables = partial(norms_tables, trace, steps=steps, states=state or None)
    show(tables if one is None else partial(norms_report, trace, one), partial(norms_json, trace, one), json=json)
