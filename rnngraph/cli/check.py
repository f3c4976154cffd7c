"""`rnngraph check`: compare the gradients of the walk with central differences."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rnngraph.cli.options import JSON, SourceArguments
from rnngraph.cli.source import open_source

FAILED = 1
MOST_DIRECTIONS = 1000  # a few already tell; a million would run for days

EXAMPLES = (
    "rnngraph check",
    "rnngraph check --cell lstm --layers 2 --bidirectional",
    "rnngraph check --cell gru --timesteps 50 --json",
    "rnngraph check model.py:functions",
)


def check(
    source: SourceArguments,
    directions: Annotated[int, typer.Option(metavar="K", help="Random directions a parameter.")] = 3,
    json: JSON = False,
) -> None:
    """Check every gradient against central differences.

    A Python function may return (forward, backward, *arrays), written by hand: a wrong gradient is located. The exit
    status is 1 if one is wrong; a wrong rule is named with its op, its argument and its timestep.
    """
    from rnngraph.cli.console import show, working
    from rnngraph.errors import InputError
    from rnngraph.render.report.gradient_check import check_json, check_report

    if not 1 <= directions <= MOST_DIRECTIONS:
        raise InputError(f"--directions is {directions}, but it must be from 1 to {MOST_DIRECTIONS}.")
    opened = open_source(source)
    with working("checking the gradients"):
        report = opened.check(directions)
    show(partial(check_report, report), partial(check_json, report), json=json)
    if not report.passed:
        raise typer.Exit(FAILED)
