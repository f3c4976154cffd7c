"""The options that say how much of the lag matrix is measured."""

from __future__ import annotations

from typing import Annotated, Any

import typer

PANEL = "How much of the lags is measured"


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=PANEL)


LAG_OPTIONS: dict[str, Any] = {
    "losses": Annotated[
        str | None, _option("N|all", "How many loss steps are walked back, spread over the sequence; 32 by default.")
    ],
    "samples": Annotated[str | None, _option("N|all", "How many samples of the batch are taken; 8 by default.")],
    "max_lag": Annotated[int | None, _option("LAG", "Follow no loss over more steps than this.")],
}
