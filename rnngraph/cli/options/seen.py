"""Which loss a view is seen from, as every command takes it."""

from __future__ import annotations

from typing import Annotated

import typer

FROM = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="last|LOSS|total",
        help="Which loss is seen: the last one, the one at a timestep, or the sum over all.",
        autocompletion=lambda: ["last", "total"],
    ),
]
