"""`rnngraph trace`: record a run and save it, so that every other command can read it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnngraph.cli.options import FORCE, LagArguments, SourceArguments
from rnngraph.cli.source import Measures, open_trace

EXAMPLES = (
    "rnngraph trace -o run.npz",
    "rnngraph trace --cell gru --timesteps 100 -o gru.npz",
    "rnngraph trace --timesteps 2000 --losses all --samples all -o whole.npz",
    "rnngraph norms gru.npz",
)


def trace(
    source: SourceArguments,
    wanted: LagArguments,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to save the run (.npz).")],
    force: FORCE = False,
) -> None:
    """Record a run and save every number of it.

    The file is read by all other commands in place of a model; it holds no weights and no code.
    """
    from rnngraph.cli.output import run_target, write_output
    from rnngraph.trace.store import pack

    target = run_target(output, force=force)
    write_output(pack(open_trace(source, Measures(lags=wanted.options(source.source)))), target)
