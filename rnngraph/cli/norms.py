"""`rnngraph norms`: the gradient norms of every timestep, for a person or as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from rnngraph.cli.options import SourceArguments
from rnngraph.cli.source import open_trace

EXAMPLES = (
    "rnngraph norms",
    "rnngraph norms --cell lstm --timesteps 60 --forget-bias 1",
    "rnngraph norms run.npz --steps all",
    "rnngraph norms --gain 0.5 --json | jq '.states[0].steps[].grad.log10'",
)


def norms(
    source: SourceArguments,
    json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="RANGE",
            help="Timesteps to show: 10:20, 0:3,97:100 or all; by default both ends of a long sequence.",
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Show this state in full, such as rnn.h_l1; may be repeated."),
    ] = None,
) -> None:
    """Report the gradient norms of every timestep.

    One row a timestep: the norm of the loss's gradient with respect to the state, what of it comes from the
    step's own loss (immediate) and what from later steps (carried), the gain of one step back, and the share
    of saturated units.
    """
    from rnngraph.cli.console import report_console, status, write_report

    if json and (steps or state):
        from rnngraph.errors import InputError

        raise InputError("--json always holds every step and state: leave --steps and --state out.")
    trace = open_trace(source)
    if json:
        from rnngraph.render.report.norms.document import norms_json

        write_report(norms_json(trace))
    else:
        from rnngraph.render.report.norms.terminal import norms_report

        report = norms_report(trace, steps=steps, states=state or None)
        report_console().print(report)
        if report.side_by_side:
            status(f"A state in full: --state {report.states[0].name}")
