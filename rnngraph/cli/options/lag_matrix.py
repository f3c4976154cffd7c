"""How much of the lag matrix is measured: the options of every command that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnngraph.errors import InputError
from rnngraph.files import is_stream

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions

PANEL = "How much of the lags is measured"


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=PANEL)


@dataclass(frozen=True, slots=True)
class LagArguments:
    """The options, and what a command line says with them; None where nothing was said."""

    losses: Annotated[
        str | None, _option("N|all", "How many loss steps are walked back, spread over the sequence; 32 by default.")
    ] = None
    samples: Annotated[str | None, _option("N|all", "How many samples of the batch are taken; 8 by default.")] = None
    max_lag: Annotated[int | None, _option("LAG", "Follow no loss over more steps than this.")] = None
    joint: Annotated[
        bool | None,
        typer.Option(
            "--joint/--apart", help="The loss is one that reads many steps at once, or one a step; asked by default.",
            rich_help_panel=PANEL,
        ),
    ] = None  # fmt: skip

    def options(self, source: str | None, seen_from: str | int | None = None) -> LagOptions:
        """Read the options for SOURCE; the loss that is seen is among those that are measured.

        Raises:
            InputError: a value that does not fit, or any of them for a saved run.
        """
        from rnngraph.measure.lag_options import LagOptions

        refuse_for_saved(source, losses=self.losses, samples=self.samples, max_lag=self.max_lag, joint=self.joint)
        losses, samples = _count("--losses", self.losses, 32), _count("--samples", self.samples, 8)
        including = (seen_from,) if isinstance(seen_from, int) else ()
        return LagOptions(losses, samples, self.max_lag, including, joint=self.joint)


def is_saved(source: str | None) -> bool:
    """Whether SOURCE is a saved run."""
    return source is not None and (Path(source).suffix == ".npz" or is_stream(Path(source)))


def refuse_for_saved(source: str | None, **given: Any) -> None:
    """Hold options of the recording back from a saved run.

    Raises:
        InputError: SOURCE is a saved run and one of them was given.
    """
    if not is_saved(source):
        return
    for name, value in given.items():
        if value is not None:
            option = name.replace("_", "-")
            raise InputError(f"--{option} chooses what is recorded, but {source} is a saved run: leave it out.")


def _count(name: str, text: str | None, default: int) -> Any:
    from rnngraph.checks import digits

    if text is None:
        return default
    if text == "all":
        return "all"
    if not (number := digits(text)):
        raise InputError(f"{name} is {text!r}; give a whole number of at least 1, or all.")
    return number
