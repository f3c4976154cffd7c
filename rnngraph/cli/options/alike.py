"""The options that stand alone and mean the same in every command that takes them."""

from __future__ import annotations

from typing import Annotated

import typer

FROM = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="last|LOSS|total",
        help="Which loss is seen: the last one, which is the default, the one at a timestep, or the sum over all.",
        autocompletion=lambda: ["last", "total"],
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="Write the report as JSON.")]
FORCE = Annotated[bool, typer.Option("--force", help="Overwrite a file of another kind.")]
