"""The options that say how much of the lag matrix is measured, which three commands take; declared once.

`takes_lag_options` replaces a command's parameter `wanted: LagArguments` by the options, as `takes_source` does it for
SOURCE.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnngraph.errors import InputError
from rnngraph.files import is_stream

if TYPE_CHECKING:
    from rnngraph.trace.lag_options import LagOptions

MOST_DIGITS = 18  # more than any machine counts to; Python refuses to read thousands
PANEL = "How much of the lags is measured"


@dataclass(frozen=True, slots=True)
class LagArguments:
    """What a command line says about the lag matrix; None where nothing was said."""

    losses: str | None = None
    samples: str | None = None
    max_lag: int | None = None
    floor: float | None = None

    def options(self, source: str | None) -> LagOptions:
        """Read the options for SOURCE.

        Raises:
            InputError: a value that does not fit, or any of them for a saved run.
        """
        from rnngraph.trace.lag_options import LagOptions

        refuse_for_saved(source, losses=self.losses, samples=self.samples, max_lag=self.max_lag, floor=self.floor)
        losses, samples = _count("--losses", self.losses, 32), _count("--samples", self.samples, 8)
        return LagOptions(losses=losses, samples=samples, max_lag=self.max_lag, floor=self.floor)


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=PANEL)


LAG_OPTIONS: dict[str, Any] = {
    "losses": Annotated[
        str | None, _option("N|all", "How many loss steps are walked back, spread over the sequence; 32 by default.")
    ],
    "samples": Annotated[str | None, _option("N|all", "How many samples of the batch are taken; 8 by default.")],
    "max_lag": Annotated[int | None, _option("LAG", "Follow no loss over more steps than this.")],
    "floor": Annotated[
        float | None,
        _option(
            "GAIN",
            "Follow no loss once less than this is left, such as 1e-16; 0 follows all to the first step. By default "
            "the smallest normal number of the dtype.",
        ),
    ],
}


def takes_lag_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options in place of its parameter `wanted`."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    source, *rest = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [source]
    for parameter in rest:
        if parameter.name != "wanted":
            parameters.append(parameter.replace(kind=keyword))
            continue
        parameters += [
            inspect.Parameter(name, keyword, annotation=annotation, default=None)
            for name, annotation in LAG_OPTIONS.items()
        ]

    @functools.wraps(command)
    def with_options(*arguments: Any, **values: Any) -> None:
        command(*arguments, wanted=LagArguments(**{name: values.pop(name) for name in LAG_OPTIONS}), **values)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options


def refuse_for_saved(source: str | None, **given: Any) -> None:
    """Hold options of the recording back from a saved run.

    Raises:
        InputError: SOURCE is a saved run and one of them was given.
    """
    if source is None or not (source.endswith(".npz") or is_stream(Path(source))):
        return
    for name, value in given.items():
        if value is not None:
            option = name.replace("_", "-")
            raise InputError(f"--{option} chooses what is recorded, but {source} is a saved run: leave it out.")


def _count(name: str, text: str | None, default: int) -> Any:
    if text is None:
        return default
    if text == "all":
        return "all"
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) < 1:
        raise InputError(f"{name} is {text!r}; give a whole number of at least 1, or all.")
    return int(text)
