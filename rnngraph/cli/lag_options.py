"""The options that say how much of the lag matrix is measured; two commands take them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rnngraph.errors import InputError

Losses = Annotated[
    str | None,
    typer.Option(
        "--losses",
        metavar="N|all",
        help="How many loss steps are walked back, spread over the sequence; 32 by default.",
    ),
]
Samples = Annotated[
    str | None,
    typer.Option("--samples", metavar="N|all", help="How many samples of the batch are taken; 8 by default."),
]


def lag_options(losses: str | None, samples: str | None) -> Any:
    """Read both options.

    Raises:
        InputError: neither `all` nor a whole number of at least 1.
    """
    from rnngraph.trace.lags import LagOptions

    return LagOptions(losses=_count("--losses", losses, 32), samples=_count("--samples", samples, 8))


def refuse_for_saved(source: str | None, **given: Any) -> None:
    """Hold options of the recording back from a saved run.

    Raises:
        InputError: SOURCE is a saved run and one of them was given.
    """
    if source is None or not source.endswith(".npz"):
        return
    for name, value in given.items():
        if value is not None:
            raise InputError(f"--{name} chooses what is recorded, but {source} is a saved run: leave it out.")


def _count(name: str, text: str | None, default: int) -> Any:
    if text is None:
        return default
    if text == "all":
        return "all"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name} is {text!r}; give a whole number of at least 1, or all.")
    return int(text)
